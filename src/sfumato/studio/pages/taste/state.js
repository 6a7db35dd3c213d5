// What the page knows of a taste: the rated pictures, what is being learnt, and the photo that shows it.

import { createSavedStore, createStore, useStore } from "../lib.js";
import * as api from "../api.js";
import { t } from "../i18n.js";
import { sentence, toast, toastError } from "../ui.js";
import { changeSettings } from "../paint/state.js";

/** The id of the photo in which questions and what was learnt are shown; null: the newest one. */
export const tastePhoto = createSavedStore("sfumato.taste.photo", null);

/** {photo, ready}: the photo to show a taste with; null where there is none, and the service draws one. */
export function useTastePhoto() {
  const chosen = useStore(tastePhoto);
  const found = api.usePicture(chosen);
  const newest = api.useLoaded(async signal => {
    const { items } = await api.listPictures({ kind: "photo", limit: 1 }, signal);
    return { photo: items[0] ?? null };
  }, []);
  if (chosen && found && !found.gone && !found.trashed) return { photo: found, ready: true };
  const waiting = (chosen && !found) || (!newest.value && !newest.error);
  return { photo: newest.value?.photo ?? null, ready: !waiting };
}

const learning = (all, name) => [...all.values()].filter(job => job.kind === "learn" && job.asked?.taste === name);

/** How many answers were learnt during this visit. */
const answersTo = (all, name) => [...all.values()]
  .filter(job => job.kind === "answer" && job.asked?.taste === name && job.state === "done").length;

/** {taste, isNew, error, reload, open: [jobs that learn], failed: the last one if it failed}. */
export function useTaste(name) {
  const key = useStore(api.jobs, all => learning(all, name).map(job => job.id + job.state).join() + answersTo(all, name));
  const { value, error, reload } = api.useLoaded(async () => {
    const { tastes } = await api.loadStyles(); // the shelves of styles follow too
    return { taste: tastes.some(each => each.name === name) ? await api.get(`/tastes/${name}`) : null };
  }, [name, key]);
  const list = learning(api.jobs.get(), name).sort((first, second) => (first.created < second.created ? -1 : 1));
  const last = list.at(-1);
  return {
    taste: value?.taste ?? null, isNew: Boolean(value && !value.taste), error, reload,
    open: list.filter(job => !api.hasEnded(job)), failed: last?.state === "failed" ? last : null,
  };
}

/** Files on their way to a taste: [{taste, liked, name, progress}]. */
export const comingIn = createStore([]);
/** Files that were not taken: [{taste, text}]. */
export const refused = createStore([]);

/** Uploads pictures, and learns them as liked or disliked. */
export async function rateFiles(taste, files, liked) {
  const coming = files.map(file => ({ taste, liked, name: file.name, id: Symbol(file.name) }));
  comingIn.set(all => [...all, ...coming]);
  refused.set(all => all.filter(each => each.taste !== taste));
  const ids = [];
  await api.uploadAll(files, "style", (place, { picture, error }) => {
    comingIn.set(all => all.filter(each => each !== coming[place]));
    if (picture) ids.push(picture.id);
    else refused.set(all => [...all, { taste, text: t("tas.refused", { name: files[place].name, text: sentence(error.message) }) }]);
  });
  if (ids.length) await teach(taste, { [liked ? "liked" : "disliked"]: ids });
}

/** Teaches {liked, disliked: [picture ids], removed: [hashes]}; remarks are told at the end. */
export async function teach(taste, changes) {
  try {
    const job = await api.startJob({ kind: "learn", taste, ...changes });
    const { result } = await api.jobEnd(job.id);
    const told = result.remarks.filter(remark => !/ is (dis)?liked now$/.test(remark)); // one sees that it has moved
    for (const remark of told.slice(0, 3)) toast(sentence(remark), { seconds: 9 });
  } catch (problem) {
    if (problem.code !== "failed") toastError(problem); // a failed job is told in the view
  }
}

/** Opens the painting view with a style. */
export function paintWith(ref) {
  changeSettings({ styles: [{ style: ref, weight: 1 }], recipeOf: null });
  location.hash = "#/paint";
}
