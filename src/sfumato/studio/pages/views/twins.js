// Two pictures that zoom and move as one.

import { html, useLayoutEffect, useState } from "../lib.js";
import { t } from "../i18n.js";
import { Button, IconButton } from "../ui.js";
import { Pane, ZoomLevel, createView } from "../paint/stage.js";

/** Shows two pictures side by side or `stacked`; `names` are for screen readers, `labels` for all. It fills its parent. */
export function Twins({ pictures, names, labels, stacked = false }) {
  const [view] = useState(createView);
  const [{ width, height }] = pictures;
  useLayoutEffect(() => { view.setSize(width, height); }, [width, height]);
  const zoom = factor => view.zoomTo(view.scale * factor, undefined, undefined, true);
  return html`<div class="viewer"><div class="panes side ${stacked ? "stacked" : ""}">${pictures.map((each, place) => html`
      <${Pane} key=${place} view=${view} label=${labels[place]}
        after=${{ src: each.file, fallback: each.thumb, alt: names[place], whole: true }} />`)}</div>
    <div class="viewer-tools" role="group" aria-label=${t("pic.zoom")}>
      <${IconButton} icon="minus" label=${t("paint.zoom_out")} onClick=${() => zoom(1 / 1.5)} />
      <${ZoomLevel} view=${view} />
      <${IconButton} icon="plus" label=${t("paint.zoom_in")} onClick=${() => zoom(1.5)} />
      <${IconButton} icon="fit" label=${t("paint.zoom_fit")} onClick=${view.showFit} />
      <${Button} kind="quiet" class="one-to-one" aria-label="1:1, ${t("paint.zoom_real")}" title=${t("paint.zoom_real")}
        onClick=${() => view.showReal()}>1:1<//></div></div>`;
}
