// What can be done with pictures, in the gallery and in a picture's dialog.

import { changePicture, deletePicture, galleryChanges, del } from "../api.js";
import { eachOf } from "../lib.js";
import { t } from "../i18n.js";
import { ask, toast, toastError } from "../ui.js";

/** Changes several pictures alike. */
export async function changeAll(ids, changes) {
  await eachOf(ids, 4, id => changePicture(id, changes));
  galleryChanges.set(count => count + 1);
}

/** Puts pictures into the trash, and offers to take them back. */
export async function trash(ids, after = () => {}) {
  try {
    await changeAll(ids, { trashed: true });
    after();
    toast(t("gal.trashed", { n: ids.length }), { undo: () => changeAll(ids, { trashed: false }).catch(toastError) });
  } catch (problem) {
    toastError(problem);
  }
}

/** Takes pictures back from the trash. */
export async function restore(ids) {
  try {
    await changeAll(ids, { trashed: false });
    toast(t("gal.restored", { n: ids.length }));
  } catch (problem) {
    toastError(problem);
  }
}

/** Deletes pictures for good, after a question. */
export async function destroy(ids, after = () => {}) {
  const agreed = await ask({
    title: t("gal.destroy_title", { n: ids.length }), text: t("gal.destroy_text"), action: t("gal.destroy"), danger: true,
  });
  if (!agreed) return;
  try {
    await eachOf(ids, 4, deletePicture);
    after();
    galleryChanges.set(count => count + 1);
  } catch (problem) {
    toastError(problem);
  }
}

/** Empties the trash, after a question. */
export async function emptyTrash() {
  const agreed = await ask({
    title: t("gal.empty_title"), text: t("gal.destroy_text"), action: t("gal.empty"), danger: true,
  });
  if (!agreed) return;
  try {
    await del("/trash");
    galleryChanges.set(count => count + 1);
  } catch (problem) {
    toastError(problem);
  }
}

/** Saves a file of the service to the reader's computer. */
export function download(url, name = "") {
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
}

/** Downloads pictures one after the other: browsers drop all but the last of many downloads begun at once. */
export async function downloadAll(pictures) {
  for (const picture of pictures) {
    download(`${picture.file}?download=1`);
    await new Promise(resolve => setTimeout(resolve, 400));
  }
}

/** Copies a text, and says so. */
export async function copy(text, said) {
  try {
    await navigator.clipboard.writeText(text);
    toast(said);
  } catch {
    const area = document.createElement("textarea"); // without HTTPS there is no clipboard to write to
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    toast(done ? said : t("gal.no_copy"), { kind: done ? "plain" : "error" });
  }
}
