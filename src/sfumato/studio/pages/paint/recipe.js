// Recipes: the settings of a picture, as a text to share, and back.

import { t, percent, number } from "../i18n.js";
import { DEFAULTS, NO_FINISH } from "./state.js";

const HEAD = "Sfumato recipe";
const COLORS = ["style", "content", "luminance"];
const QUALITIES = ["draft", "standard", "best"];

/** Everything there is of styles in one list. */
export const allStyles = styles => styles ? [...styles.tastes, ...styles.own, ...styles.built_in] : [];

/** The style of a reference, or null. */
export const styleOf = (styles, ref) => allStyles(styles).find(each => each.ref === ref)
  ?? (ref.startsWith("taste:") ? allStyles(styles).find(each => each.ref === ref.split("/")[0]) : null) ?? null;

/** A style's name for the reader. */
export function titleOf(style) {
  if (!style) return t("paint.style_unknown");
  if (style.ref.startsWith("taste:")) return t("paint.taste_of", { name: style.name });
  return style.title || style.artist || style.name;
}

/** The settings in words: "The Great Wave off Kanagawa, strength 80 %, standard". */
export function inWords(settings, styles, recipeTitle) {
  const named = settings.styles.map(each => titleOf(styleOf(styles, each.style)));
  const parts = [named.join(" + ") || recipeTitle || t("paint.style_unknown")];
  parts.push(t("paint.words_strength", { share: percent(settings.strength / 100) }));
  if (settings.stroke !== 1) parts.push(t("paint.words_stroke", { value: number(settings.stroke) }));
  if (settings.color !== "style") parts.push(t(`paint.words_${settings.color}`));
  parts.push(t(`paint.words_${settings.quality}`));
  return parts.join(t("paint.comma"));
}

const held = (value, low, high, fallback) => (
  Number.isFinite(Number(value)) ? Math.min(high, Math.max(low, Number(value))) : fallback);

/** The settings of a picture's recipe. Styles that this account does not have stay in the picture: `recipeOf` names it. */
export function settingsOf(picture, styles) {
  const recipe = picture.recipe;
  const known = allStyles(styles);
  const parts = (recipe.styles ?? []).flatMap(style => style.name.split(" + ").map(part => {
    const [, name, weight] = /^(.*?)(?::([\d.e-]+))?$/.exec(part);
    const found = known.find(each => each.ref === name) ?? styles?.own.find(each => each.name === name);
    return found && { style: found.ref, weight: Number(weight ?? 1) };
  }));
  const [step = {}] = recipe.finish ?? [];
  const finish = { ...NO_FINISH };
  for (const name of Object.keys(NO_FINISH).filter(each => each in step)) {
    finish[name] = name === "upscale" ? step[name] : Math.round(step[name] * 100);
  }
  const complete = parts.length > 0 && parts.every(Boolean);
  return {
    ...DEFAULTS,
    styles: complete ? parts : [],
    recipeOf: complete || !recipe.styles?.length ? null : picture.id,
    strength: Math.round(held(recipe.strength, 0, 1, 1) * 100),
    stroke: held(recipe.stroke, 0.5, 2, 1),
    color: COLORS.includes(recipe.color) ? recipe.color : "style",
    quality: QUALITIES.includes(recipe.quality) ? recipe.quality : "draft",
    seed: held(recipe.seed, 0, 2 ** 53, 0),
    maxSize: held(recipe.max_size, 0, 1e6, 0),
    finish,
  };
}

/** Whether a picture holds the recipe of a painting. */
export const isPainted = picture => Boolean(picture?.recipe?.styles?.length);

/** The settings as a text that people can read, send and paste. */
export function toText(settings, styles) {
  const lines = [HEAD];
  for (const each of settings.styles) {
    const weight = settings.styles.length > 1 ? ` ${each.weight}` : "";
    lines.push(`style: ${each.style}${weight} (${titleOf(styleOf(styles, each.style))})`);
  }
  lines.push(`strength: ${settings.strength} %`, `stroke: ${settings.stroke}`, `colour: ${settings.color}`,
    `quality: ${settings.quality}`, `seed: ${settings.seed}`);
  if (settings.maxSize) lines.push(`size: ${settings.maxSize}`);
  for (const [name, value] of Object.entries(settings.finish)) if (value !== NO_FINISH[name]) lines.push(`${name}: ${value}`);
  return lines.join("\n");
}

/** The settings of a text; {settings, missing: [styles that are not here]} or null where it is no recipe. */
export function fromText(text, styles) {
  if (!text.toLowerCase().includes(HEAD.toLowerCase())) return null;
  const settings = { ...DEFAULTS, styles: [], finish: { ...NO_FINISH } };
  const missing = [];
  for (const line of text.split(/\r?\n/)) {
    const [, name, value] = /^\s*([a-z]+)\s*[:：]\s*(.+?)\s*$/i.exec(line) ?? [];
    const key = name?.toLowerCase();
    if (key === "style") {
      const [, ref, weight = "1"] = /^(\S+)(?:\s+([\d.]+))?/.exec(value);
      if (styleOf(styles, ref)) settings.styles.push({ style: ref, weight: held(weight, 0, 1, 1) });
      else missing.push(/\((.+)\)/.exec(value)?.[1] ?? ref);
    } else if (key === "strength") settings.strength = held(value.replace("%", ""), 0, 100, 100);
    else if (key === "stroke") settings.stroke = held(value, 0.5, 2, 1);
    else if (key === "colour" || key === "color") settings.color = COLORS.includes(value) ? value : "style";
    else if (key === "quality") settings.quality = QUALITIES.includes(value) ? value : "standard";
    else if (key === "seed") settings.seed = Math.round(held(value, 0, 2 ** 53, 0));
    else if (key === "size") settings.maxSize = Math.round(held(value, 0, 1e5, 0));
    else if (key === "upscale") settings.finish.upscale = Number(value) === 2 ? 2 : 1;
    else if (key in NO_FINISH) settings.finish[key] = held(value, key === "sharpen" ? 0 : -100, key === "sharpen" ? 200 : 100, 0);
  }
  return { settings, missing };
}
