// The painting view on a phone: styles in one row, and the controls in a sheet that is pulled up.

import { html, useEffect, useRef, useState } from "../lib.js";
import { t } from "../i18n.js";
import { Icon } from "../ui.js";
import { allStyles, titleOf } from "./recipe.js";
import { StylePicture } from "./shelf.js";

/** Whether the window is that of a phone. */
export function useNarrow() {
  const query = useRef(matchMedia("(max-width: 900px)")).current;
  const [narrow, setNarrow] = useState(query.matches);
  useEffect(() => {
    const tell = () => setNarrow(query.matches);
    query.addEventListener("change", tell);
    return () => query.removeEventListener("change", tell);
  }, []);
  return narrow;
}

/** All styles in a row, and a button that opens the shelf. */
export function QuickStyles({ styles, chosen, onChoose, onAll }) {
  const row = useRef(null);
  useEffect(() => {
    row.current?.querySelector("[aria-pressed=true]")?.scrollIntoView({ block: "nearest", inline: "center" });
  }, [Boolean(styles)]);
  return html`<div ref=${row} class="quick-styles">
    <button type="button" class="quick all" onClick=${onAll}>
      <span class="no-picture"><${Icon} name="search" /></span><span>${t("paint.all_styles")}</span></button>
    ${allStyles(styles).filter(style => style.learnt !== false).map(style => html`
      <button key=${style.ref} type="button" class="quick" aria-pressed=${String(chosen.includes(style.ref))}
        onClick=${() => onChoose(style.ref)}><${StylePicture} style=${style} />
        <span class="ellipsis">${titleOf(style)}</span></button>`)}
  </div>`;
}

/** The sheet: low it shows what is needed most, high everything. While a mask is painted it is low. */
export function Sheet({ masking, children }) {
  const [open, setOpen] = useState(false);
  const from = useRef(null);
  useEffect(() => { if (masking) setOpen(false); }, [masking]);
  const grab = event => {
    from.current = event.clientY;
    event.target.setPointerCapture(event.pointerId);
  };
  const pull = event => {
    if (from.current === null || Math.abs(event.clientY - from.current) <= 30) return;
    setOpen(event.clientY < from.current);
    from.current = "pulled";
  };
  const name = t(open ? "paint.sheet_less" : "paint.sheet_more");
  return html`<section class="sheet-panel ${open ? "open" : ""} ${masking ? "masking" : ""}" aria-label=${t("paint.settings")}>
    <button type="button" class="sheet-handle" aria-expanded=${String(open)} onPointerDown=${grab} onPointerMove=${pull}
      onClick=${() => { if (from.current !== "pulled") setOpen(!open); from.current = null; }}>
      <span class="grip" /><span class="small">${name}</span></button>
    <div class="sheet-scroll">${children}</div></section>`;
}
