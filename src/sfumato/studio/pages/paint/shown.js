// Which picture is shown of a photo: its painting, the painting with finishing on it, or a draft of the settings.

import { useEffect } from "../lib.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { canPaint, changeWork, finishSteps, keysOf, workOf } from "./state.js";
import { usePreview } from "./preview.js";

/** Finishing as the browser can show it at once; the service does it exactly. */
const cssFilter = finish => `url(#warmth) brightness(${1 + finish.brightness * 0.004}) `
  + `contrast(${1 + finish.contrast * 0.005}) saturate(${1 + finish.saturation * 0.01})`;

/**
 * What to show of a photo with the settings of `value`:
 * `painted`, the painting, and `isResult` where it was painted with just these settings; `canFinish` where only the
 * finish differs, and `filter` that shows it; `picture`, the painting or the draft; `label`, its name; `preview`.
 */
export function useShown(photo, value) {
  const { settings } = value;
  const work = workOf(value);
  const keys = keysOf(photo.id, settings, work.mask);
  const isResult = Boolean(work.result) && work.resultKey === keys.whole;
  const onBase = !isResult && Boolean(work.base) && work.baseKey === keys.paint; // painted so, and finished otherwise
  const canFinish = onBase && finishSteps(settings.finish).length > 0;
  const preview = usePreview(photo.id, settings, work, isResult || onBase);
  const found = api.usePicture(isResult ? work.result : onBase ? work.base : null);
  useEffect(() => { // it was deleted
    if (found?.gone) changeWork(photo.id, { result: null, resultKey: null, resultSettings: null, base: null });
  }, [found]);
  const painted = found && !found.gone ? found : null;
  const drafted = canPaint(settings) && preview.photo === photo.id ? preview.picture : null;
  const picture = painted ?? drafted;
  let label = picture ? t("paint.label_draft") : null;
  if (painted) label = t(canFinish ? "paint.label_finish" : "paint.label_painting", painted);
  return {
    painted, picture, isResult, canFinish: canFinish && Boolean(painted), preview, label,
    filter: canFinish && painted ? cssFilter(settings.finish) : null,
  };
}
