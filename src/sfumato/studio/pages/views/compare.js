// Two pictures side by side, or one over the other with a slider.

import { html, useState } from "../lib.js";
import { t } from "../i18n.js";
import { Dialog, Segmented } from "../ui.js";
import { Twins, Viewer } from "./viewer.js";
import { differences, recipeLines } from "./facts.js";
import { useStyles } from "../api.js";
import { usePictures } from "./pages.js";

export function CompareDialog({ pictures, close }) {
  const [way, setWay] = useState("side");
  const styles = useStyles();
  const [first, second] = pictures;
  if (!second) return null;
  const [here, there] = [first, second].map(each => new Map(recipeLines(each.recipe, styles)));
  const differing = [...new Set([...here.keys(), ...there.keys()])].filter(term => here.get(term) !== there.get(term));
  return html`<${Dialog} open title=${t("gal.compare")} onClose=${close} wide=${true}>
    <${Segmented} hidden label=${t("pic.way")} value=${way} onChange=${setWay}
      options=${[{ value: "side", label: t("pic.side") }, { value: "slide", label: t("pic.slide") }]} />
    ${way === "side"
      ? html`<div class="compare-slide"><${Twins} pictures=${[first, second]} labels=${differences(pictures, styles)} /></div>`
      : html`<div class="compare-slide"><${Viewer} picture=${second} before=${first} /></div>`}
    ${differing.length > 0 && html`<table class="differences"><caption>${t("pic.differences")}</caption><tbody>
      ${differing.map(term => html`<tr key=${term}><th scope="row">${term}</th><td>${here.get(term) ?? "–"}</td><td>${there.get(term) ?? "–"}</td></tr>`)}
    </tbody></table>`}
  <//>`;
}

/** Asks for the other picture, those of the same photo first, then compares. */
export function AgainstDialog({ picture, close }) {
  const [other, setOther] = useState(null);
  const { items } = usePictures({ kind: "result" });
  if (other) return html`<${CompareDialog} pictures=${[picture, other]} close=${close} />`;
  const others = items.filter(each => each.id !== picture.id);
  const sorted = [...others.filter(each => each.photo === picture.photo), ...others.filter(each => each.photo !== picture.photo)];
  return html`<${Dialog} open title=${t("pic.compare_with")} onClose=${close} wide=${true}>
    ${sorted.length ? html`<${Picks} pictures=${sorted} pick=${setOther} />` : html`<p>${t("pic.no_other")}</p>`}
  <//>`;
}

/** Thumbnails as buttons. */
export const Picks = ({ pictures, pick, chosen = new Set() }) => html`<ul class="picks">${pictures.map(each => html`
  <li key=${each.id}><button type="button" aria-pressed=${chosen.has(each.id)} aria-label=${each.title || t("gal.untitled")}
    onClick=${() => pick(each)}><img src=${each.thumb} alt="" loading="lazy" /></button></li>`)}</ul>`;
