// Two pictures that zoom and move as one.

import { html, useLayoutEffect, useState } from "../lib.js";
import { t } from "../i18n.js";
import { Pane, createView } from "../paint/stage.js";
import { ZoomTools } from "../viewer.js";

/** Shows two pictures side by side or `stacked`; `names` are for screen readers, `labels` for all. It fills its parent. */
export function Twins({ pictures, names, labels, stacked = false }) {
  const [view] = useState(createView);
  const [{ width, height }] = pictures;
  useLayoutEffect(() => { view.setSize(width, height); }, [width, height]);
  return html`<div class="viewer"><div class="panes side ${stacked ? "stacked" : ""}">${pictures.map((each, place) => html`
      <${Pane} key=${place} view=${view} label=${labels[place]}
        after=${{ src: each.file, fallback: each.thumb, alt: names[place], whole: true }} />`)}</div>
    <div class="viewer-tools" role="group" aria-label=${t("pic.zoom")}><${ZoomTools} view=${view} /></div></div>`;
}
