// The batch that is being put together: photos, a style and settings. Photos that are uploaded survive a reload.

import { createSavedStore, createStore } from "../lib.js";
import * as api from "../api.js";

/** {style, strength in percent, quality, format}. */
export const settings = createSavedStore("sfumato.batch", {
  style: "great-wave", strength: 100, quality: "standard", format: "png",
});
export const changeSettings = changes => settings.set(old => ({ ...old, ...changes }));

const KEY = "sfumato.batch.photos";
const saved = () => {
  try { return JSON.parse(sessionStorage.getItem(KEY)) ?? []; } catch { return []; }
};

/** The photos: [{key, name, id (once uploaded), progress, error, url}]. */
export const photos = createStore(saved().map(each => ({ ...each, key: each.id })));
photos.subscribe(all => {
  const kept = all.filter(each => each.id).map(({ id, name }) => ({ id, name }));
  try { sessionStorage.setItem(KEY, JSON.stringify(kept)); } catch { /* they last until the reload */ }
});

/** How many files of a folder were left out because they are no pictures. */
export const leftOut = createStore(0);

const NAMES = /\.(jpe?g|png|webp|gif|bmp|tiff?|heic|heif|avif|jp2|ppm)$/i;
const isPicture = file => file.type.startsWith("image/") || NAMES.test(file.name);

const update = (key, changes) => photos.set(all => all.map(each => (each.key === key ? { ...each, ...changes } : each)));
let count = 0;
let controls = new AbortController();
let waiting = [];
let running = 0;

/** Uploads the next files, two at once. */
async function run() {
  if (running >= 2) return;
  running++;
  while (waiting.length) {
    const { key, file } = waiting.shift();
    if (!photos.get().some(each => each.key === key)) continue; // taken out meanwhile
    try {
      let shown = 0;
      const progress = share => { if (share - shown > 0.1) { shown = share; update(key, { progress: share }); } };
      const picture = await api.upload(file, "photo", { progress, signal: controls.signal });
      update(key, { id: picture.id, progress: 1 });
    } catch (problem) {
      if (problem.name !== "AbortError") update(key, { error: problem.message, file });
    }
  }
  running--;
}

/** Takes files in: pictures are uploaded at once. */
export function takeIn(files) {
  const found = files.filter(isPicture);
  leftOut.set(files.length - found.length);
  const added = found.map(file => ({ key: `new${++count}`, file, name: file.name, progress: 0 }));
  photos.set(all => [...all, ...added.map(({ key, name, progress }) => ({ key, name, progress }))]);
  waiting.push(...added);
  run();
  run();
}

/** Uploads a photo again that failed. */
export function again(each) {
  update(each.key, { error: null, progress: 0 });
  waiting.push({ key: each.key, file: each.file });
  run();
}

export const takeOut = key => photos.set(all => all.filter(each => each.key !== key));

/** Forgets all photos, and stops uploads. */
export function clear() {
  waiting = [];
  controls.abort();
  controls = new AbortController();
  photos.set([]);
  leftOut.set(0);
}

/** Starts painting the photos, and returns the batch's id. */
export async function start() {
  const { style, strength, quality, format } = settings.get();
  const ids = [...new Set(photos.get().filter(each => each.id).map(each => each.id))];
  const { batch } = await api.startBatch({
    photos: ids, styles: [[{ style, weight: 1 }]], options: { strength: strength / 100, quality }, format,
  });
  clear();
  return batch;
}

