// A picture to look at closely: zoom, pan, and the line between it and another one. It fills its parent.

import { html, useLayoutEffect, useState } from "./lib.js";
import { t } from "./i18n.js";
import { Button, IconButton } from "./ui.js";
import { Pane, ZoomLevel, createView } from "./paint/stage.js";

/** Shows a Picture; with `before`, another Picture under it and a line that moves between both. */
export function Viewer({ picture, before, name = picture.title }) {
  const [view] = useState(createView);
  useLayoutEffect(() => view.setSize(picture.width, picture.height), [picture.id, picture.width, picture.height]);
  useLayoutEffect(() => view.showFit(), [picture.id]);
  const shown = (each, alt) => ({ src: each.file, fallback: each.thumb, alt, whole: true });
  return html`<div class="viewer"><div class="panes">
      <${Pane} key=${picture.id} view=${view} before=${before ? shown(before, before.title) : null} after=${shown(picture, name)} /></div>
    <div class="viewer-tools" role="group" aria-label=${t("paint.picture_tools")}><${ZoomTools} view=${view} /></div></div>`;
}

/** The buttons of a view: smaller, its size, larger, whole, one to one. */
export function ZoomTools({ view }) {
  const zoom = factor => view.zoomTo(view.scale * factor, undefined, undefined, true);
  return html`
      <${IconButton} icon="minus" label=${t("paint.zoom_out")} onClick=${() => zoom(1 / 1.5)} />
      <${ZoomLevel} view=${view} />
      <${IconButton} icon="plus" label=${t("paint.zoom_in")} onClick=${() => zoom(1.5)} />
      <${IconButton} icon="fit" label=${t("paint.zoom_fit")} onClick=${view.showFit} />
      <${Button} kind="quiet" class="one-to-one" aria-label="1:1, ${t("paint.zoom_real")}" title=${t("paint.zoom_real")}
        onClick=${() => view.showReal()}>1:1<//>`;
}
