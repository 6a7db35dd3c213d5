// Texts in the reader's language. Keys are in texts/en.json; texts/zh.json has the same ones (a test compares them).

import { createSavedStore, createStore, useStore } from "./lib.js";

export const LANGUAGES = { en: "English", zh: "中文" };

const chosen = createSavedStore("sfumato.language", null); // null: as the browser says
export const language = createStore("en");
let texts = {};
let english = {};

const load = async code => {
  const answer = await fetch(new URL(`./texts/${code}.json`, import.meta.url));
  if (!answer.ok) throw new Error(`The texts of the page (${code}) are missing; install Sfumato again.`);
  return answer.json();
};

const ofBrowser = () => {
  for (const tag of navigator.languages ?? [navigator.language]) {
    const code = tag.slice(0, 2).toLowerCase();
    if (code in LANGUAGES) return code;
  }
  return "en";
};

async function use(code) {
  if (!Object.keys(english).length) english = await load("en");
  texts = code === "en" ? english : await load(code);
  document.documentElement.lang = code === "zh" ? "zh-Hans" : code;
  language.set(code);
}

/** Loads the texts; wait for it before the first rendering. */
export async function startTexts() {
  chosen.subscribe(code => use(code ?? ofBrowser()).catch(() => {}));
  await use(chosen.get() ?? ofBrowser());
}

/** Changes the language, now and for the next visit. */
export const chooseLanguage = code => chosen.set(code);

/** The language's code; the component is rendered again when it changes. */
export const useLanguage = () => useStore(language);

/**
 * The text of a key: t("queue.left", {n: 3}). `{name}` in the text is replaced by the value.
 * A text with plurals is {"one": "...", "other": "..."} and goes by `n`; "zero" is taken for 0 where it is given.
 */
export function t(key, values = {}) {
  let text = texts[key] ?? english[key] ?? key;
  if (typeof text === "object") {
    const form = values.n === 0 && "zero" in text ? "zero" : new Intl.PluralRules(language.get()).select(values.n ?? 0);
    text = text[form] ?? text.other;
  }
  return text.replace(/\{(\w+)\}/g, (whole, name) => {
    if (!(name in values)) return whole;
    return typeof values[name] === "number" ? number(values[name]) : String(values[name]);
  });
}

/** Whether there is a text of this key. */
export const has = key => key in texts || key in english;

/** A number as the reader writes it: number(0.25, {style: "percent"}). */
export const number = (value, options) => new Intl.NumberFormat(language.get(), options).format(value);

/** A share from 0 to 1 as "25 %". */
export const percent = share => number(share, { style: "percent", maximumFractionDigits: 0 });

/** A size of a file: "3.4 MB". */
export function bytes(count) {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
  let unit = 0;
  while (count >= 1000 && unit < units.length - 1) { count /= 1000; unit++; }
  const digits = unit && count < 10 ? 1 : 0;
  return number(count, { style: "unit", unit: units[unit], unitDisplay: "short", maximumFractionDigits: digits });
}

/** A span of time: "12 s", "3 min". */
export function duration(seconds) {
  const [value, unit] = seconds < 90 ? [Math.max(1, Math.round(seconds)), "second"]
    : seconds < 5400 ? [Math.round(seconds / 60), "minute"] : [Math.round(seconds / 360) / 10, "hour"];
  return number(value, { style: "unit", unit, unitDisplay: "short" });
}

/** A time of the service (ISO, UTC) as local date and time. */
export const dateTime = iso => new Intl.DateTimeFormat(language.get(), { dateStyle: "medium", timeStyle: "short" })
  .format(new Date(iso));

/** A time of the service as local date. */
export const date = iso => new Intl.DateTimeFormat(language.get(), { dateStyle: "long" }).format(new Date(iso));
