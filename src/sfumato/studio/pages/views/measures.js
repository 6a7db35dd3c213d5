// What was measured of a painting beside its photo, in sentences for a painter.

import { html } from "../lib.js";
import { has, number, percent, t } from "../i18n.js";

const DIGITS = { psnr: 1, colour: 1, artefacts: 2 };

/** The name of the band that a value is in: bands are [upper bound, name], the last without a bound. */
const band = (value, bands) => bands.find(([most]) => value < most)[1];

/** The sentences, most important first. The bounds follow docs on the measures: they tell, they do not mark. */
export function measureSentences(found) {
  const told = [];
  const tell = (name, bands) => {
    if (typeof found[name] === "number") told.push(t(`pic.mea_${name}_${band(found[name], bands)}`));
  };
  tell("kept", [[0.5, "little"], [0.8, "some"], [Infinity, "most"]]);
  tell("copied", [[0.3, "new"], [0.7, "some"], [Infinity, "photo"]]);
  tell("edges", [[0.5, "loose"], [0.8, "some"], [Infinity, "firm"]]);
  tell("colour", [[4, "same"], [10, "near"], [20, "other"], [Infinity, "far"]]);
  if (typeof found.artefacts === "number") {
    const key = `pic.mea_defect_${found.defect}`;
    const defect = has(key) ? t(key) : found.defect;
    told.push(t(`pic.mea_artefacts_${band(found.artefacts, [[1, "none"], [2, "trace"], [Infinity, "seen"]])}`, { defect }));
  }
  return told;
}

/** The sentences as a list, and the numbers for those who want them. */
export function Measures({ measures }) {
  const found = measures ?? {};
  const names = ["kept", "copied", "edges", "ssim", "psnr", "colour", "artefacts"].filter(name => typeof found[name] === "number");
  if (!names.length) return null;
  const text = name => {
    if (name === "psnr") return `${number(found.psnr, { maximumFractionDigits: 1 })} dB`;
    if (name in DIGITS) return number(found[name], { maximumFractionDigits: DIGITS[name] });
    return percent(found[name]);
  };
  return html`<ul class="told">${measureSentences(found).map(each => html`<li key=${each}>${each}</li>`)}</ul>
    <details class="fold"><summary>${t("pic.mea_numbers")}</summary>
      <dl class="numbers">${names.map(name => html`<div key=${name}><dt>${t(`pic.mea_name_${name}`)}</dt><dd>${text(name)}</dd></div>`)}</dl>
      <p class="small muted">${t("pic.mea_note")}</p></details>`;
}
