// Painting: a photo, a style, a draft, settings, the painting, and what one does with it.

import { createSavedStore, html, useEffect, useLayoutEffect, useState, useStore } from "../lib.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { Button, Dialog, Icon, Segmented, toast, toastError } from "../ui.js";
import { useKeys } from "../keys.js";
import {
  canPaint, change, changeWork, closePhoto, finishPainted, finishSteps, keysOf, localUrl, masksOf, openPhoto, paintWhole,
  state, workOf,
} from "../paint/state.js";
import { Pane, createView } from "../paint/stage.js";
import { ZoomTools } from "../viewer.js";
import { useShown } from "../paint/shown.js";
import { storeRest, useMask } from "../paint/mask.js";
import { Shelf } from "../paint/shelf.js";
import { Chosen, Details, FinishControls, Look, QualityChoice } from "../paint/controls.js";
import { Failure, JobBar, ResultBar, ShareRecipe, retry } from "../paint/result.js";
import { Variants } from "../paint/variants.js";
import { inWords, isPainted, settingsOf } from "../paint/recipe.js";
import { offered, uploads, useDrops } from "../paint/intake.js";
import { Offer, Strip, Welcome } from "../paint/photos.js";
import { QuickStyles, Sheet, useNarrow } from "../paint/sheet.js";

/** How before and after are shown: "slide", "side" or "after". */
const look = createSavedStore("sfumato.look", "slide");

/** Opens what the address names: a photo, or a painting with its settings. */
async function openNamed(query) {
  if (query.photo) return openPhoto(query.photo);
  const named = query.picture ?? query.recipe_of;
  if (!named) return undefined;
  try {
    const picture = await api.picture(named);
    const styles = api.styles.get() ?? await api.loadStyles();
    const photo = picture.photo && await api.picture(picture.photo).catch(() => null);
    if (isPainted(picture) && photo && !photo.gone) {
      const settings = settingsOf(picture, styles);
      const { mask = null } = workOf(state.get(), photo.id);
      const keys = keysOf(photo.id, settings, mask);
      const base = finishSteps(settings.finish).length === 0 ? picture.id : null;
      openPhoto(photo.id);
      change({ settings });
      changeWork(photo.id, {
        result: picture.id, resultKey: keys.whole, resultSettings: settings, resultMask: mask, base, baseKey: keys.paint,
        error: null,
      });
    } else {
      openPhoto(picture.id);
      if (isPainted(picture)) offered.set({ picture, instead: false });
    }
  } catch (problem) {
    toastError(problem);
  }
  return undefined;
}

export default function PaintView({ route }) {
  const narrow = useNarrow();
  const value = useStore(state);
  const coming = useStore(uploads);
  const photo = api.usePicture(value.photo);
  const [over, setOver] = useState(false);
  useDrops(setOver);
  useEffect(() => { openNamed(route.query); }, [route.query.photo, route.query.picture, route.query.recipe_of]);
  useEffect(() => {
    if (value.photo && location.hash.startsWith("#/paint")) history.replaceState(null, "", `#/paint?photo=${value.photo}`);
  }, [value.photo]);
  useEffect(() => { if (photo?.gone) closePhoto(photo.id); }, [photo]);
  return html`<div class="paint ${narrow ? "narrow" : "wide"}">
    <h1 class="hidden-text">${t("app.paint")}</h1>
    ${photo && !photo.gone ? html`<${Studio} photo=${photo} value=${value} narrow=${narrow} coming=${coming} />`
      : html`<${Welcome} coming=${coming} narrow=${narrow} settings=${value.settings} />`}
    ${over && html`<div class="drop-over" aria-hidden="true"><${Icon} name="upload" size="40" />
      <strong>${t("paint.drop_here")}</strong></div>`}
  </div>`;
}

/** The studio with a photo in it. */
function Studio({ photo, value, narrow, coming }) {
  const { settings } = value;
  const work = workOf(value);
  const styles = api.useStyles();
  const [view] = useState(createView);
  const [active, setActive] = useState(0); // the place in the styles that the shelf fills
  const [masking, setMasking] = useState(false);
  const [open, setOpen] = useState(null); // the dialog: "styles", "variants" or "share"
  const [starting, setStarting] = useState(false);
  const job = api.useJob(work.job);
  const shown = useShown(photo, value);
  const { tool, bar } = useMask(photo, work.mask, masking);

  const large = shown.painted && !masking ? shown.painted : photo;
  useLayoutEffect(() => view.setSize(large.width, large.height), [photo.id, large.width, large.height]);
  useLayoutEffect(() => view.showFit(), [photo.id]);

  const choose = (style, browsing = false) => {
    const parts = [...settings.styles];
    const place = Math.min(active, parts.length);
    parts[place] = { style, weight: parts[place]?.weight ?? (parts.length ? 0.5 : 1) };
    if (parts.length === 1) parts[0].weight = 1;
    change({ settings: { ...settings, styles: parts, recipeOf: null } });
    if (!browsing) setOpen(null);
  };
  const begin = async start => {
    setStarting(true);
    try {
      await start();
    } catch (problem) {
      toastError(problem);
    } finally {
      setStarting(false);
    }
  };
  const masks = masksOf(work, settings);
  useEffect(() => { if (!masks) storeRest(photo, work.mask).catch(toastError); }, [work.mask, Boolean(masks)]);
  const running = job && !api.hasEnded(job) ? job : null;
  const busy = starting || Boolean(running);
  const able = canPaint(settings) && Boolean(masks);
  const paint = () => { if (!busy && able) begin(paintWhole); };
  const back = () => {
    change({ settings: work.resultSettings });
    changeWork(photo.id, { mask: work.resultMask });
  };
  useKeys({ "ctrl+enter": paint, v: () => setOpen("variants"), m: () => setMasking(now => !now) });

  const chosen = settings.styles.map(each => each.style);
  const parts = {
    notices: html`<div><${Offer} styles=${styles} photo=${photo} />
      ${shown.preview.error && !work.error && html`<${Failure} text=${shown.preview.error.message} onAgain=${shown.preview.again} />`}
      ${work.error && html`<${Failure} text=${work.error} onAgain=${work.failed && (() => retry(photo.id, work))}
        onClose=${() => changeWork(photo.id, { error: null })} />`}</div>`,
    stage: html`<${Stage} photo=${photo} view=${view} shown=${shown} settings=${settings} styles=${styles} tool=${tool}
      onBack=${work.result && work.resultSettings && !shown.isResult && !masking ? back : null}
      onVariants=${() => setOpen("variants")} />`,
    under: html`<div class="under">
      <div class="bar-room">${running ? html`<${JobBar} key=${running.id} job=${running} />`
        : shown.isResult && shown.painted && html`<${ResultBar} picture=${shown.painted}
          onShare=${() => setOpen("share")} />`}</div>
      <${Strip} value=${value} coming=${coming} /></div>`,
    chosen: html`<${Chosen} settings=${settings} active=${active} setActive=${setActive} masked=${Boolean(work.mask)}
      onPick=${narrow ? () => setOpen("styles") : null} />`,
    mask: html`<${MaskRow} photo=${photo} work=${work} settings=${settings} masking=${masking} setMasking=${setMasking}
      bar=${bar} />`,
    rest: html`<${QualityChoice} settings=${settings} />
      <${FinishControls} settings=${settings} apply=${shown.canFinish ? () => begin(finishPainted) : null} busy=${busy} />
      <${Details} settings=${settings} />
      <${Button} kind="quiet" icon="share" onClick=${() => setOpen("share")}>${t("paint.share")}<//>`,
    button: html`<${Button} kind="primary" big wide icon="brush" busy=${busy} disabled=${!able} onClick=${paint}>
      ${t("paint.paint_whole")}<//>`,
  };
  const middle = html`<div class="middle">${parts.notices}${parts.stage}${parts.under}</div>`;
  return html`
    ${narrow ? html`${middle}<${Sheet} masking=${masking}>
      <div class="sheet-first">${masking ? parts.mask : html`<${QuickStyles} styles=${styles} chosen=${chosen}
        onChoose=${choose} onAll=${() => setOpen("styles")} />${parts.button}`}</div>
      <div class="stack sheet-rest">
        ${!masking && html`<${Look} settings=${settings} />${parts.chosen}${parts.mask}${parts.rest}`}</div><//>`
    : html`<aside class="left" aria-label=${t("paint.styles")}>
        <${Shelf} chosen=${chosen} current=${chosen[active]} onChoose=${choose} /></aside>
      ${middle}
      <aside class="right" aria-label=${t("paint.settings")}>
        <div class="right-scroll stack">${parts.chosen}<${Look} settings=${settings} />${parts.mask}${parts.rest}</div>
        <div class="right-foot">${parts.button}</div></aside>`}
    ${open === "variants" && html`<${Variants} photo=${photo} mask=${work.mask ?? null} onClose=${() => setOpen(null)} />`}
    ${open === "share" && html`<${ShareRecipe} onClose=${() => setOpen(null)} />`}
    ${open === "styles" && html`<${Dialog} open wide class="picker" title=${t("paint.style_choose")}
      onClose=${() => setOpen(null)}>
      <${Shelf} chosen=${chosen} current=${chosen[active]} onChoose=${choose} /><//>`}`;
}

/** The picture before and after, with its tools. */
function Stage({ photo, view, shown, settings, styles, tool, onBack, onVariants }) {
  const mode = useStore(look);
  const [peek, setPeek] = useState(false); // B is held: the photo is shown
  const zoom = factor => view.zoomTo(view.scale * factor, undefined, undefined, true);
  useKeys({
    "0": view.showFit, "1": () => view.showReal(), "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8),
    b: () => setPeek(true),
  });
  useEffect(() => {
    const release = event => { if (event.key.toLowerCase() === "b") setPeek(false); };
    addEventListener("keyup", release);
    return () => removeEventListener("keyup", release);
  }, []);

  const local = localUrl(photo.id);
  const before = {
    src: local ?? photo.file, fallback: local ?? photo.thumb, alt: t("paint.alt_photo", { name: photo.title }), whole: true,
  };
  const words = inWords(settings, styles, t("paint.a_picture"));
  const after = shown.picture && {
    src: shown.picture.file, alt: t("paint.alt_painting", { words }), whole: Boolean(shown.painted),
  };
  const label = peek ? t("paint.photo") : shown.label;
  const both = !after || (!tool && (mode === "slide" || peek));
  return html`<section class="stage ${peek ? "peek" : ""}" aria-label=${t("paint.picture")}>
    <${WarmthFilter} warmth=${shown.filter ? settings.finish.warmth : 0} />
    ${mode === "side" && after && !tool ? html`<div class="panes side">
      <${Pane} key="a${photo.id}" view=${view} before=${before} label=${t("paint.photo")} />
      <${Pane} key="b${photo.id}" view=${view} after=${after} filter=${shown.filter} label=${label} /></div>`
    : html`<div class="panes"><${Pane} key=${photo.id} view=${view} before=${both ? before : null} after=${after}
      filter=${shown.filter} label=${label} tool=${tool} /></div>`}
    <p class="hidden-text" role="status">${shown.preview.busy ? t("paint.drafting") : shown.label ?? ""}</p>
    ${shown.preview.busy && html`<p class="working" aria-hidden="true"><span class="spinner" />${t("paint.drafting")}</p>`}
    ${!canPaint(settings) && html`<p class="stage-hint">${t("paint.choose_style_hint")}</p>`}
    <div class="stage-tools" role="group" aria-label=${t("paint.picture_tools")}>
      <${Segmented} hidden label=${t("paint.look")} value=${mode} onChange=${look.set} options=${[
        { value: "slide", label: t("paint.look_slide"), icon: "compare" },
        { value: "side", label: t("paint.look_side"), icon: "columns" },
        { value: "after", label: t("paint.look_after"), icon: "picture" }]} />
      <span class="zooms"><${ZoomTools} view=${view} /></span>
      ${onBack && html`<${Button} kind="quiet" icon="undo" title=${t("paint.back_hint")} onClick=${onBack}>
        <span class="tool-text">${t("paint.back")}</span><//>`}
      <${Button} kind="quiet" icon="grid" disabled=${!canPaint(settings)} onClick=${onVariants}>
        <span class="tool-text">${t("paint.variants")}</span><//>
    </div>
  </section>`;
}

/** Warmth as a filter of the browser, in linear light as the service does it. */
function WarmthFilter({ warmth }) {
  const gain = stops => 2 ** (stops * warmth / 100);
  return html`<svg width="0" height="0" class="hidden-text" aria-hidden="true">
    <filter id="warmth" color-interpolation-filters="linearRGB"><feColorMatrix type="matrix"
      values=${`${gain(0.1)} 0 0 0 0 0 ${gain(-0.1)} 0 0 0 0 0 ${gain(-0.35)} 0 0 0 0 0 1 0`} /></filter></svg>`;
}

/** The mask's button, the brush while it is painted, and what it does afterwards. */
function MaskRow({ photo, work, settings, masking, setMasking, bar }) {
  const several = settings.styles.length > 1;
  const tooMany = settings.styles.length > 2;
  const remove = () => {
    const { mask } = work;
    changeWork(photo.id, { mask: null });
    toast(t("paint.mask_removed"), { undo: () => changeWork(photo.id, { mask }) });
  };
  let name = "paint.mask_begin";
  if (masking) name = "paint.mask_done";
  else if (work.mask) name = "paint.mask_edit";
  return html`<div class="stack tight">
    <div class="row spread"><span class="label">${t("paint.mask")}</span>
      <${Button} icon=${masking ? "check" : "brush"} disabled=${tooMany && !masking}
        onClick=${() => setMasking(!masking)}>${t(name)}<//></div>
    ${tooMany && html`<p class="small muted">${t("paint.mask_two")}</p>`}
    ${!masking && !tooMany && work.mask && html`<div class="row spread">
      <span class="small muted">${t(several ? "paint.mask_on_two" : "paint.mask_on")}</span>
      <${Button} kind="quiet" icon="trash" onClick=${remove}>${t("ui.remove")}<//></div>`}
    ${bar}</div>`;
}
