// Variants: a table of small drafts, styles by strengths; a click takes one.

import { createSavedStore, html, useEffect, useRef, useState, useStore } from "../lib.js";
import { percent, t } from "../i18n.js";
import * as api from "../api.js";
import { Dialog, Icon, toast, toastError } from "../ui.js";
import { change, changeSettings, state } from "./state.js";
import { allStyles, styleOf, titleOf } from "./recipe.js";
import { StylePicture } from "./shelf.js";

const STRENGTHS = [25, 40, 55, 70, 85, 100];
const MOST_STYLES = 6;
const SIDE = 384;
/** What is compared; kept over a reload. */
const wanted = createSavedStore("sfumato.variants", { strengths: [40, 70, 100], styles: [] });
const cells = new Map(); // photo, style, strength and the rest -> job id; asked for once

function Cell({ job: id, name, width, height, onTake, onAgain }) {
  const job = api.useJob(id);
  const picture = api.usePicture(job?.result?.picture);
  const failed = job && ["failed", "cancelled"].includes(job.state);
  return html`<button type="button" class="variant"
    aria-label=${failed ? t("paint.variant_again", { name }) : t("paint.variant_take", { name })}
    aria-disabled=${failed || picture ? null : "true"} onClick=${failed ? onAgain : picture ? onTake : null}
      title=${job?.error}>
    ${picture && !picture.gone ? html`<img src=${picture.file} alt="" width=${width} height=${height} />`
      : html`<span class="variant-blank ${failed ? "" : "waiting"}"
        style=${{ aspectRatio: `${width} / ${height}` }}>${failed && html`<${Icon} name="refresh" />`}</span>`}</button>`;
}

export function Variants({ photo, mask, onClose }) {
  const styles = api.useStyles();
  const { settings } = useStore(state);
  const chosen = useStore(wanted);
  const [, redraw] = useState(0);
  const timer = useRef(0);
  const rows = chosen.styles.filter(ref => styleOf(styles, ref));
  const { finish: _, styles: __, strength: ___, quality, maxSize, bestOf, recipeOf, ...rest } = settings;
  const keyOf = (ref, strength) => JSON.stringify([photo.id, mask, ref, strength, rest]);

  useEffect(() => { // begin with the styles of the painting
    const now = settings.styles.map(each => each.style).filter(ref => !chosen.styles.includes(ref));
    if (now.length) wanted.set(old => ({ ...old, styles: [...now, ...old.styles].slice(0, MOST_STYLES) }));
  }, []);

  const begin = async (refs, strengths) => {
    const lacks = ref => strengths.filter(strength => !cells.has(keyOf(ref, strength)));
    const missing = refs.map(ref => [ref, lacks(ref)]).filter(([, some]) => some.length);
    const alike = new Map(); // rows that miss the same strengths are one batch
    for (const [ref, some] of missing) alike.set(String(some), [...alike.get(String(some)) ?? [], ref]);
    for (const [some, group] of alike) {
      const asked = some.split(",").map(Number);
      try {
        const { jobs } = await api.startBatch({
          photos: [photo.id], styles: group.map(style => [{ style, weight: 1, mask }]), strengths: asked.map(each => each / 100),
          options: { stroke: rest.stroke, color: rest.color, seed: rest.seed, quality: "draft" }, max_size: SIDE, quick: true,
        });
        for (const job of jobs) cells.set(keyOf(job.asked.styles[0].style, Math.round(job.asked.options.strength * 100)), job.id);
        redraw(n => n + 1);
      } catch (problem) {
        toastError(problem);
      }
    }
  };
  const what = JSON.stringify([rows, chosen.strengths]);
  useEffect(() => {
    clearTimeout(timer.current);
    if (rows.length) timer.current = setTimeout(() => begin(rows, chosen.strengths), 350);
    return () => clearTimeout(timer.current);
  }, [what]);
  useEffect(() => () => { // what nobody looks at is not painted
    for (const [key, id] of cells) {
      const job = api.jobs.get().get(id);
      if (job && !api.hasEnded(job)) {
        cells.delete(key);
        api.cancelJob(id).catch(() => {});
      }
    }
  }, []);

  const toggle = (list, value, most = 99) => (
    list.includes(value) ? list.filter(each => each !== value) : [...list, value].slice(-most));
  const take = (style, strength) => {
    const before = state.get().settings;
    changeSettings({ styles: [{ style, weight: 1 }], strength, recipeOf: null });
    onClose();
    toast(t("paint.variant_taken"), { undo: () => change({ settings: before }) });
  };
  const columns = [...chosen.strengths].sort((a, b) => a - b);
  return html`<${Dialog} open wide class="variants" title=${t("paint.variants")} onClose=${onClose}>
    <div class="stack">
      <fieldset class="strengths"><legend class="label">${t("paint.variants_strengths")}</legend><div
        class="row wrap">${STRENGTHS.map(each => html`
        <label key=${each} class="pill"><input type="checkbox" checked=${chosen.strengths.includes(each)}
          onChange=${() => wanted.set(old => ({ ...old, strengths: toggle(old.strengths, each) }))} />
          <span>${percent(each / 100)}</span></label>`)}</div></fieldset>
      <fieldset><legend class="label">${t("paint.variants_styles", { n: MOST_STYLES })}</legend><div class="style-strip"
        tabindex="-1">${allStyles(styles).filter(each => each.learnt !== false).map(style => html`
        <label key=${style.ref} class="style-pick" title=${titleOf(style)}><input type="checkbox"
          checked=${rows.includes(style.ref)} aria-label=${titleOf(style)}
          onChange=${() => wanted.set(old => ({ ...old, styles: toggle(old.styles, style.ref, MOST_STYLES) }))} />
          <${StylePicture} style=${style} /></label>`)}</div></fieldset>
      ${!rows.length || !columns.length ? html`<p class="muted">${t("paint.variants_none")}</p>` : html`
      <div class="variant-scroll"><table class="variant-table"><thead><tr><td />${columns.map(each => html`<th
        key=${each} scope="col">${percent(each / 100)}</th>`)}</tr></thead>
        <tbody>${rows.map(ref => html`<tr key=${ref}><th
          scope="row">${titleOf(styleOf(styles, ref))}</th>${columns.map(strength => {
          const key = keyOf(ref, strength);
          return html`<td key=${strength}><${Cell} job=${cells.get(key)} width=${photo.width} height=${photo.height}
            name=${`${titleOf(styleOf(styles, ref))}, ${percent(strength / 100)}`} onTake=${() => take(ref, strength)}
            onAgain=${() => { cells.delete(key); begin([ref], [strength]); }} /></td>`;
        })}</tr>`)}</tbody></table></div>`}
    </div><//>`;
}
