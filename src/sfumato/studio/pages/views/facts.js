// A picture's facts and its recipe in words.

import { html, useMemo } from "../lib.js";
import { usePicture, useStyles } from "../api.js";
import { bytes, dateTime, number, percent, t } from "../i18n.js";

const FORMATS = { "image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WebP", "image/tiff": "TIFF" };

/** The reader's name of a style: "Impression, Sunrise (Claude Monet)" for "monet". */
export function styleTitle(name, styles) {
  const found = styles?.built_in.find(each => each.name === name) ?? styles?.own.find(each => each.name === name || each.ref === name);
  if (!found) return name;
  if (!found.artist) return found.title || found.name;
  return found.title && found.title !== found.artist ? t("pic.work", { title: found.title, artist: found.artist }) : found.artist;
}

/** The recipe as [label, text] pairs. */
export function recipeLines(recipe, styles) {
  if (!recipe) return [];
  const lines = [];
  const names = (recipe.styles ?? []).map(each => styleTitle(each.name, styles)).filter(Boolean);
  if (names.length) lines.push([t("pic.style"), names.join(", ")]);
  lines.push([t("pic.strength"), percent(recipe.strength ?? 1)]);
  if ((recipe.stroke ?? 1) !== 1) lines.push([t("pic.stroke"), `${number(recipe.stroke)} ×`]);
  lines.push([t("pic.colour"), t(`pic.colour_${recipe.color ?? "style"}`)]);
  lines.push([t("pic.quality"), t(`pic.quality_${recipe.quality ?? "draft"}`)]);
  if (recipe.max_size) lines.push([t("pic.shrunk"), t("pic.pixels", { n: recipe.max_size })]);
  if (recipe.masks?.length) lines.push([t("pic.masks"), number(recipe.masks.length)]);
  const steps = (recipe.finish ?? []).map(finishWords).filter(Boolean);
  if (steps.length) lines.push([t("pic.finish"), steps.join("; ")]);
  if (recipe.seed) lines.push([t("pic.seed"), String(recipe.seed)]);
  if (recipe.model) lines.push([t("pic.model"), `${recipe.model}, Sfumato ${recipe.version ?? ""}`]);
  return lines;
}

/** What differs between two paintings, for each in a few words: "Claude Monet · 100 %". */
export function differences(pair, styles) {
  const [first, second] = pair.map(each => new Map(recipeLines(each.recipe, styles)));
  const words = (here, there) => [...here].filter(([term, text]) => there.get(term) !== text).map(([, text]) => text).join(" · ");
  return [words(first, second), words(second, first)];
}

function finishWords(step) {
  const words = ["brightness", "contrast", "saturation", "warmth", "sharpen"].filter(name => step[name])
    .map(name => `${t(`pic.${name}`)} ${number(step[name], { signDisplay: "exceptZero", maximumFractionDigits: 2 })}`);
  if (step.upscale > 1) words.push(t("pic.upscaled", { n: step.upscale }));
  return words.join(", ");
}

/** The facts of a picture, as a list of terms. */
export function Facts({ picture }) {
  const photo = usePicture(picture.photo);
  const lines = [
    [t("pic.size"), `${number(picture.width)} × ${number(picture.height)}`],
    [t("pic.file"), `${FORMATS[picture.media_type] ?? picture.media_type}, ${bytes(picture.bytes)}`],
    [t("pic.made"), dateTime(picture.created)],
  ];
  if (picture.photo && photo) {
    lines.push([t("pic.photo"), photo.gone ? t("pic.photo_gone") : html`<a href="#/gallery/${photo.id}?show=photo">${photo.title || t("gal.untitled")}</a>`]);
  }
  return html`<${Terms} lines=${lines} />`;
}

/** The recipe of a picture in words. */
export function RecipeFacts({ picture }) {
  const styles = useStyles();
  const lines = useMemo(() => recipeLines(picture.recipe, styles), [picture.recipe, styles]);
  return html`<${Terms} lines=${lines} />`;
}

export const Terms = ({ lines }) => html`<dl class="terms">${lines.map(([term, text]) => html`
  <div key=${term}><dt>${term}</dt><dd>${text}</dd></div>`)}</dl>`;
