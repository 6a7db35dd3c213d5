// From choices to a painting: starts the painter, opens photos, paints, and saves.

import { checkSize } from "../src/decode.js";
import { Painter } from "../src/index.js";
import {
  chosen,
  offline,
  ownStyles,
  painterState,
  painting,
  photo,
  problem,
  progress,
  settings,
  styles,
  view,
} from "./state.js";

const MODEL = { base: "./model/" };
// One thread: ?threads=1 in the address helps to find out whether threads are at fault.
const threads = Number(new URLSearchParams(location.search).get("threads")) || undefined;

let painter;
let wanted; // the AbortController of the painting that is under way
let opening = 0;

/**
 * Registers the service worker. On a server that does not isolate pages, the first visit is loaded again once the
 * worker does: then the painter may use several threads.
 */
async function isolate() {
  if (!("serviceWorker" in navigator)) return;
  try {
    await navigator.serviceWorker.register("./sw.js");
    if (!navigator.serviceWorker.controller) {
      await new Promise((resolve, reject) => {
        navigator.serviceWorker.addEventListener("controllerchange", resolve, { once: true });
        setTimeout(() => reject(new Error("the service worker did not start")), 15_000);
      });
    }
  } catch {
    return; // private windows of some browsers have none; the page works without, but not offline
  }
  if (crossOriginIsolated || photo.get() || sessionStorage.getItem("sfumato.isolated")) return;
  sessionStorage.setItem("sfumato.isolated", "tried");
  location.reload();
  await new Promise(() => {});
}

function keepAll() {
  const worker = navigator.serviceWorker?.controller;
  if (!worker) return;
  navigator.serviceWorker.addEventListener("message", ({ data }) => {
    if (data === "all kept") offline.set(true);
  });
  worker.postMessage("keep all");
}

export async function start() {
  if (!crossOriginIsolated) await isolate();
  try {
    painter = await Painter.load({ ...MODEL, threads });
    styles.set(painter.styles);
    if (![...painter.styles, ...ownStyles.get()].some(each => each.name === chosen.get()))
      chosen.set(painter.styles[0].name);
    painterState.set("ready");
    document.documentElement.dataset.threads = String(painter.threads);
  } catch (found) {
    painterState.set("failed");
    problem.set(found);
    return;
  }
  if (crossOriginIsolated) await isolate();
  keepAll();
  paintNow();
}

/** Opens a photo, and paints it. */
export async function openPhoto(file, name = file?.name ?? "") {
  const mine = ++opening;
  wanted?.abort();
  problem.set(null);
  const url = URL.createObjectURL(file ?? new Blob());
  const image = new Image();
  try {
    await new Promise((resolve, reject) => {
      image.onload = resolve;
      image.onerror = () => reject({ code: file?.size ? "no-picture" : "empty" });
      image.src = url;
    });
    checkSize(image.naturalHeight, image.naturalWidth); // before it is decoded
  } catch (found) {
    URL.revokeObjectURL(url);
    if (mine === opening) problem.set(found);
    return;
  }
  if (mine !== opening) {
    URL.revokeObjectURL(url);
    return;
  }
  const before = photo.get();
  painting.set(null);
  view.set("painting");
  photo.set({
    file,
    name: name.replace(/\.[^.]*$/, "") || "photo",
    url,
    width: image.naturalWidth,
    height: image.naturalHeight,
  });
  if (before) URL.revokeObjectURL(before.url);
  await paintNow();
}

/** Opens a sample that belongs to the page. */
export async function openSample(name) {
  const answer = await fetch(`./samples/${name}.webp`).catch(() => null);
  await openPhoto(answer?.ok ? await answer.blob() : null, `${name}.webp`);
}

/** Makes a style of a picture, and paints with it. */
export async function addStyle(file) {
  if (!painter) return;
  problem.set(null);
  try {
    const name = freeName((file?.name ?? "").replace(/\.[^.]*$/, "") || "own");
    const style = await painter.encode(file, name);
    ownStyles.set(known => [{ ...style, url: URL.createObjectURL(file) }, ...known]);
    choose(style.name);
  } catch (found) {
    problem.set(found);
  }
}

function freeName(name) {
  const taken = new Set([...styles.get(), ...ownStyles.get()].map(each => each.name));
  let found = name;
  for (let count = 2; taken.has(found); count++) found = `${name} ${count}`;
  return found;
}

export function choose(name) {
  chosen.set(name);
  paintNow();
}

export function change(part) {
  settings.set(old => ({ ...old, ...part }));
  paintNow();
}

export const cancel = () => wanted?.abort();

/** Paints the photo as chosen; a painting that is under way is given up. */
export async function paintNow() {
  const shown = photo.get();
  if (!painter || !shown) return;
  wanted?.abort();
  const mine = new AbortController();
  wanted = mine;
  problem.set(null);
  progress.set(0);
  const name = chosen.get();
  const style = ownStyles.get().find(each => each.name === name) ?? name;
  const plain = typeof style === "string" ? style : { name: style.name, code: style.code };
  try {
    const found = await painter.paint(shown.file, { style: plain, ...settings.get(), signal: mine.signal }, share => {
      if (wanted === mine) progress.set(share);
    });
    if (wanted !== mine) return;
    painting.set({ ...found, style: name });
    if (view.get() === "photo") view.set("painting");
  } catch (found) {
    if (wanted === mine && found.code !== "cancelled") problem.set(found);
    if (found.code === "memory") {
      await renew();
      if (wanted !== mine) paintNow(); // what was chosen meanwhile
    }
  } finally {
    if (wanted === mine) progress.set(null);
  }
}

/** Starts another painter: ONNX Runtime cannot go on once the memory did not suffice. */
async function renew() {
  painter.close();
  painterState.set("starting");
  try {
    painter = await Painter.load({ ...MODEL, threads });
    painterState.set("ready");
  } catch (found) {
    painter = undefined;
    painterState.set("failed");
    problem.set(found);
  }
}

/** Saves the painting as a file. */
export async function save(format) {
  const { image, recipe, style } = painting.get();
  const blob = format === "png" ? await painter.png({ image, recipe }) : await jpeg(image);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${photo.get().name}-${style.replace(/[^\p{L}\p{N}]+/gu, "-")}.${format === "png" ? "png" : "jpg"}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** A JPEG of a picture, on white where it is transparent. */
async function jpeg(image) {
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext("2d");
  context.putImageData(image, 0, 0);
  context.globalCompositeOperation = "destination-over";
  context.fillStyle = "#fff";
  context.fillRect(0, 0, image.width, image.height);
  return canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 });
}
