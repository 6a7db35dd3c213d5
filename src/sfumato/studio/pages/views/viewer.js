// A picture in a window of its own, with zoom and, where another one is given, the line between the two.

import { html, useLayoutEffect, useState } from "../lib.js";
import { t } from "../i18n.js";
import { Button, IconButton } from "../ui.js";
import { Pane, ZoomLevel, createView } from "../paint/stage.js";

const altOf = picture => picture.title || t("gal.untitled");
const imageOf = picture => picture && { src: picture.file, fallback: picture.thumb, alt: altOf(picture), whole: true };

/** A view of the stage for pictures of one size. */
export function useView({ width, height }) {
  const [view] = useState(createView);
  useLayoutEffect(() => { view.setSize(width, height); }, [width, height]);
  return view;
}

/** The buttons that zoom. */
export function ZoomTools({ view }) {
  const zoom = factor => view.zoomTo(view.scale * factor, undefined, undefined, true);
  return html`<div class="viewer-tools zooms" role="group" aria-label=${t("pic.zoom")}>
    <${IconButton} icon="minus" label=${t("paint.zoom_out")} onClick=${() => zoom(1 / 1.5)} />
    <${ZoomLevel} view=${view} />
    <${IconButton} icon="plus" label=${t("paint.zoom_in")} onClick=${() => zoom(1.5)} />
    <${IconButton} icon="fit" label=${t("paint.zoom_fit")} onClick=${view.showFit} />
    <${Button} kind="quiet" class="one-to-one" aria-label="1:1, ${t("paint.zoom_real")}" title=${t("paint.zoom_real")}
      onClick=${() => view.showReal()}>1:1<//></div>`;
}

/** Fills the place that it is given; `before` lies under the picture, left of the line. */
export function Viewer({ picture, before }) {
  const view = useView(picture);
  return html`<div class="viewer"><${Pane} view=${view} before=${imageOf(before)} after=${imageOf(picture)} />
    <${ZoomTools} view=${view} /></div>`;
}

/** Two pictures that zoom as one, side by side or `stacked`; `alts` are their names where titles must not be told. */
export function Twins({ pictures, alts, labels = [], stacked = false }) {
  const view = useView(pictures[0]);
  return html`<div class="viewer"><div class="twins ${stacked ? "stacked" : ""}">${pictures.map((each, place) => html`<${Pane} key=${place} view=${view}
    after=${{ ...imageOf(each), alt: alts?.[place] ?? altOf(each) }} label=${labels[place]} />`)}</div>
    <${ZoomTools} view=${view} /></div>`;
}
