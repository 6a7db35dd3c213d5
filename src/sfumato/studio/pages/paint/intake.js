// Photos that come in: dropped, chosen or pasted; uploaded at once and shown before the upload has ended.

import { createStore, useEffect } from "../lib.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { filesOf, toastError } from "../ui.js";
import { change, keepLocal, openPhoto, state } from "./state.js";
import { isPainted } from "./recipe.js";
import { takeText } from "./result.js";

/** Uploads under way: [{name, url, progress}]. */
export const uploads = createStore([]);
/** Pictures that hold a recipe and were dropped: the newest is offered. */
export const offered = createStore(null);

const shown = ["image/jpeg", "image/png", "image/webp", "image/gif", "image/avif"];

/** Takes photos in: the first becomes the one that is painted. */
export async function takeIn(files) {
  const found = files.map(file => ({
    file, name: file.name, url: shown.includes(file.type) ? URL.createObjectURL(file) : null, progress: 0,
  }));
  const update = (each, changes) => {
    Object.assign(each, changes);
    uploads.set(all => [...all]);
  };
  uploads.set(all => [...all, ...found]);
  let opened = false;
  for (const each of found) {
    try {
      const picture = await api.upload(each.file, "photo", { progress: progress => update(each, { progress }) });
      const had = state.get().photo;
      if (isPainted(picture)) {
        offered.set({ picture, instead: Boolean(had) });
        if (had) continue; // its settings are for the photo that is open
      }
      if (each.url) keepLocal(picture.id, each.url);
      if (opened) change({ photos: [...state.get().photos.filter(id => id !== picture.id), picture.id] });
      else openPhoto(picture.id);
      opened = true;
    } catch (problem) {
      toastError(problem);
    } finally {
      uploads.set(all => all.filter(other => other !== each));
    }
  }
}

/** Takes in what is dropped or pasted anywhere on the page; tells setOver(whether files hang over it). */
export function useDrops(setOver) {
  useEffect(() => {
    let depth = 0;
    const has = event => [...event.dataTransfer?.types ?? []].includes("Files");
    const enter = event => { if (has(event)) { depth++; setOver(true); } };
    const leave = event => { if (has(event) && --depth <= 0) { depth = 0; setOver(false); } };
    const drop = async event => {
      depth = 0;
      setOver(false);
      if (!has(event)) return;
      event.preventDefault();
      takeIn(await filesOf(event.dataTransfer));
    };
    const end = () => { depth = 0; setOver(false); };
    const paste = event => {
      if (event.target.closest("input, textarea, dialog")) return;
      const files = [...event.clipboardData.files].map((file, place) =>
        /^image\.\w+$/.test(file.name) ? new File([file], `${t("paint.pasted")} ${place + 1}.png`, { type: file.type }) : file);
      if (files.length) takeIn(files);
      else if (event.clipboardData.getData("text")) {
        const error = takeText(event.clipboardData.getData("text"), api.styles.get());
        if (error) toastError(new Error(error));
      }
    };
    const all = { dragenter: enter, dragleave: leave, drop, paste };
    for (const [kind, run] of Object.entries(all)) addEventListener(kind, run);
    document.addEventListener("drop", end, true);
    return () => {
      for (const [kind, run] of Object.entries(all)) removeEventListener(kind, run);
      document.removeEventListener("drop", end, true);
    };
  }, []);
}
