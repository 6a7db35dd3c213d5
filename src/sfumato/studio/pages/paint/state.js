// What is being painted: photos, settings, and what was made of each photo. It survives a reload; jobs live in the service.

import { createStore, randomId } from "../lib.js";
import * as api from "../api.js";
import { sentence, toast } from "../ui.js";

export const NO_FINISH = { brightness: 0, contrast: 0, saturation: 0, warmth: 0, sharpen: 0, upscale: 1 };

/** How a photo is painted. Strength is in percent, finishing values too. */
export const DEFAULTS = {
  styles: [{ style: "great-wave", weight: 1 }], strength: 100, stroke: 1, color: "style", seed: 0,
  quality: "standard", maxSize: 0, bestOf: 1,
  finish: NO_FINISH, recipeOf: null,
};
const START = { photos: [], photo: null, works: {}, settings: DEFAULTS };
const KEY = "sfumato.paint";

function saved() {
  for (const place of ["sessionStorage", "localStorage"]) { // of this tab; of the last one
    try {
      const found = JSON.parse(window[place].getItem(KEY));
      if (found?.settings) return { ...START, ...found, settings: { ...DEFAULTS, ...found.settings } };
    } catch { /* nothing, or damaged, or forbidden */ }
  }
  return START;
}

export const state = createStore(saved());
state.subscribe(value => {
  const text = JSON.stringify(value);
  for (const place of ["sessionStorage", "localStorage"]) {
    try { window[place].setItem(KEY, text); } catch { /* it lasts until the reload */ }
  }
});

/** The largest number of photos that the strip remembers. */
const MOST_PHOTOS = 40;

export const change = changes => state.set(old => ({ ...old, ...changes }));
export const changeSettings = changes => state.set(old => ({ ...old, settings: { ...old.settings, ...changes } }));
export const changeWork = (photo, changes) => state.set(old => ({
  ...old, works: { ...old.works, [photo]: { ...old.works[photo], ...changes } },
}));
export const workOf = (value, photo = value.photo) => value.works[photo] ?? {};

/** Opens a photo; `first` puts it at the head of the strip. */
export function openPhoto(id) {
  state.set(old => {
    const photos = old.photos.includes(id) ? old.photos : [id, ...old.photos].slice(0, MOST_PHOTOS);
    const works = Object.fromEntries(photos.filter(each => old.works[each]).map(each => [each, old.works[each]]));
    return { ...old, photos, works, photo: id };
  });
}

export function closePhoto(id) {
  state.set(old => {
    const photos = old.photos.filter(each => each !== id);
    const at = old.photos.indexOf(id);
    const { [id]: _, ...works } = old.works;
    return { ...old, photos, works, photo: old.photo === id ? photos[Math.min(at, photos.length - 1)] ?? null : old.photo };
  });
}

// Files that were dropped in this tab: shown at once, before the service has them.
const local = new Map();
export const keepLocal = (id, url) => local.set(id, url);
export const localUrl = id => local.get(id) ?? null;

const share = percent => Math.round(percent) / 100;

/** The finishing steps of the settings as the service takes them; empty where nothing is changed. */
export function finishSteps(finish) {
  const found = {};
  for (const name of Object.keys(NO_FINISH)) {
    if (finish[name] !== NO_FINISH[name]) found[name] = name === "upscale" ? finish[name] : share(finish[name]);
  }
  return Object.keys(found).length ? [found] : [];
}

/** Whether there is something to paint with. */
export const canPaint = settings => settings.styles.length > 0 || Boolean(settings.recipeOf);

/** The masks of a work for its styles: one paints inside, a second one outside; null where a mask is still to be stored. */
export function masksOf(work, settings) {
  if (!work.mask || settings.styles.length > 2) return [];
  if (settings.styles.length < 2) return [work.mask];
  return work.restOf === work.mask ? [work.mask, work.rest] : null;
}

/** The job that paints a photo with settings; `preview` makes it a draft for the page. */
export function paintRequest(photo, settings, masks, preview) {
  const finish = finishSteps(preview ? { ...settings.finish, upscale: 1 } : settings.finish);
  const request = {
    kind: "paint", photo, options: {
      strength: share(settings.strength), stroke: settings.stroke, color: settings.color, seed: settings.seed,
      quality: preview ? "draft" : settings.quality,
    }, finish,
    styles: settings.styles.map((each, place) => ({ style: each.style, weight: each.weight, mask: masks[place] ?? null })),
  };
  if (settings.recipeOf) request.recipe_of = settings.recipeOf;
  if (preview) return { ...request, preview: true, max_size: 1024 };
  return { ...request, max_size: settings.maxSize, best_of: settings.bestOf };
}

/** Texts that are equal where two paintings look alike, after and before finishing; quality and size count for nothing. */
export function keysOf(photo, settings, mask) {
  const { finish, quality: _, maxSize: __, bestOf: ___, ...rest } = settings;
  const paint = JSON.stringify([photo, mask ?? null, rest]);
  return { paint, whole: paint + JSON.stringify(finish) };
}

const tab = randomId().slice(0, 12);
/** The slot of a photo's previews: a newer one takes the place of an older. */
export const slotOf = photo => `${photo}-${tab}`;

/** Starts painting the photo at full size. */
export async function paintWhole() {
  const { photo, settings } = state.get();
  const work = workOf(state.get());
  const keys = keysOf(photo, settings, work.mask);
  const job = await api.startJob(paintRequest(photo, settings, masksOf(work, settings), false));
  const plain = finishSteps(settings.finish).length === 0;
  changeWork(photo, { job: job.id, jobKeys: { ...keys, plain, settings }, error: null });
}

/** Starts finishing the picture that was painted before. */
export async function finishPainted() {
  const { photo, settings } = state.get();
  const work = workOf(state.get());
  const keys = keysOf(photo, settings, work.mask);
  const [step] = finishSteps(settings.finish);
  const job = await api.startJob({ kind: "finish", picture: work.base, ...step, format: "png" });
  changeWork(photo, { job: job.id, jobKeys: { ...keys, plain: false, settings }, error: null });
}

// A painting that ends is kept, whichever view is open.
api.jobs.subscribe(all => {
  for (const [photo, work] of Object.entries(state.get().works)) {
    const job = work.job && all.get(work.job);
    if (!job || !api.hasEnded(job)) continue;
    const made = { job: null, jobKeys: null, error: null, failed: null };
    if (job.state === "failed") Object.assign(made, { error: job.error, failed: job.id, failedKeys: work.jobKeys });
    if (job.state === "done") {
      for (const remark of job.result.remarks ?? []) toast(sentence(remark), { seconds: 9 });
      made.result = job.result.picture;
      made.resultKey = work.jobKeys.whole;
      made.resultSettings = work.jobKeys.settings;
      made.resultMask = work.mask ?? null;
      if (job.kind === "paint") made.base = work.jobKeys.plain ? made.result : null;
      if (made.base) made.baseKey = work.jobKeys.paint;
    }
    changeWork(photo, made);
  }
});
