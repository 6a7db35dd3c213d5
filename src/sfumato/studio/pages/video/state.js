// The video that is to be painted, and how. The choice survives a reload.

import { createSavedStore, createStore } from "../lib.js";
import * as api from "../api.js";

/** {style, strength and steady in percent, quality, size: longer side in pixels, 0 for its own}. */
export const settings = createSavedStore("sfumato.video", {
  style: "great-wave", strength: 100, quality: "draft", steady: 90, size: 854,
});
export const changeSettings = changes => settings.set(old => ({ ...old, ...changes }));

/** The id of the chosen video. */
export const chosen = createSavedStore("sfumato.video.chosen", null);

/** The upload on its way: {name, progress, error, file}; null without one. */
export const upload = createStore(null);

export const VIDEOS = "video/*,.mkv,.mov,.webm,.avi,.gif";
/** Seconds that are painted as a trial. */
export const TRIAL = 3;

let control = new AbortController();

/** Uploads a video and chooses it. */
export async function takeIn(file) {
  control.abort();
  const mine = control = new AbortController();
  upload.set({ name: file.name, progress: 0 });
  try {
    const progress = share => { if (!mine.signal.aborted) upload.set({ name: file.name, progress: share }); };
    const found = await api.upload(file, "video", { progress, signal: mine.signal });
    chosen.set(found.id);
    upload.set(null);
  } catch (problem) {
    if (problem.name !== "AbortError") upload.set({ name: file.name, progress: 0, error: problem.message, file });
  }
}

/** Stops the upload. */
export function stopUpload() {
  control.abort();
  upload.set(null);
}

/** Starts painting the chosen video, or only some seconds from its middle. */
export function start(video, isTrial) {
  const { style, strength, quality, steady, size } = settings.get();
  const from = isTrial ? Math.max(0, ((video.measures?.seconds ?? 0) - TRIAL) / 2) : 0;
  return api.startJob({
    kind: "video", video: video.id, styles: [{ style, weight: 1 }], options: { strength: strength / 100, quality },
    steady: steady / 100, max_size: size, start: from, end: isTrial ? from + TRIAL : null,
  });
}

/** Minutes and seconds: "2:05". */
export function clock(seconds) {
  if (!Number.isFinite(seconds)) return "";
  const all = Math.round(seconds);
  return `${Math.floor(all / 60)}:${String(all % 60).padStart(2, "0")}`;
}
