/**
 * The worker that paints: it takes requests one after the other, and answers each by its number.
 *
 * @module
 */

import { fromText } from "./codes.js";
import { decode } from "./decode.js";
import { Photo, paint, shrink, thumbnail } from "./draft.js";
import { PaintError } from "./errors.js";
import { Networks } from "./networks.js";
import { recipe, settings } from "./options.js";
import { png } from "./png.js";
import { PhotoReader, widened } from "./readers.js";

/** @typedef {import("./draft.js").Pixels} Pixels */
/** @typedef {import("./options.js").Style} Style */
/** @typedef {import("./options.js").PaintOptions} PaintOptions */
/** @typedef {Omit<PaintOptions, "style" | "signal">} Settable */
/** @typedef {Blob | ImageBitmap | ImageData} Source */
/**
 * A request of the page.
 * @typedef {{kind: "load", base: string, ort: string, threads?: number, device?: "auto" | "wasm" | "webgpu"}
 *   | {kind: "warm", graph: string}
 *   | {kind: "paint", source?: Source, held?: Held, style: string | Style, options: Settable}
 *   | {kind: "encode", source: Source, name: string}
 *   | {kind: "png", pixels: Pixels, recipe: object}} Request
 */

/** @type {Networks | undefined} */
let networks;
/**
 * A photo that arrived, and what was made of it: pixels, the hash of its file, and the photo at the painting's size.
 * @typedef {{source: Source, read?: {pixels: Pixels, sha256: string}, made?: {size: number, photo: Photo}}} Held
 */
/** The photo that arrived last: the page sends it once. @type {Held | undefined} */
let latest;
/** @type {Promise<unknown>} */
let before = Promise.resolve();
/** Numbers of requests that were cancelled. @type {Set<number>} */
const cancelled = new Set();

addEventListener("message", ({ data }) => {
  if (data.kind === "cancel") {
    cancelled.add(data.number);
    return;
  }
  const { number, request } = data;
  if (request.kind === "paint") {
    if (request.source) latest = { source: request.source };
    request.held = latest; // now: when its turn comes, another photo may have arrived
  }
  before = before.then(() => answer(number, request));
});

/**
 * @param {number} number
 * @param {Request} request
 */
async function answer(number, request) {
  try {
    await pause(number);
    const result = await carryOut(number, request);
    postMessage({ number, result }, { transfer: result && "data" in result ? [result.data.buffer] : [] });
  } catch (problem) {
    const known = problem instanceof PaintError ? problem : unexpected(problem);
    postMessage({ number, problem: { code: known.code, message: known.message, values: known.values } });
  }
  cancelled.delete(number);
}

/** @param {unknown} problem */
function unexpected(problem) {
  const why = problem instanceof Error ? problem.message : String(problem);
  if (problem instanceof RangeError || /memory|alloc/i.test(why)) {
    return new PaintError("memory", "The memory of this device does not suffice; choose a smaller size.");
  }
  return new PaintError("model", `The picture could not be painted: ${why}. Load the page again.`);
}

/** Let messages arrive, and stop where the request was cancelled. @param {number} number */
async function pause(number) {
  await new Promise(resolve => setTimeout(resolve));
  if (cancelled.has(number)) throw new PaintError("cancelled", "The painting was cancelled.");
}

/**
 * @param {number} number
 * @param {Request} request
 */
async function carryOut(number, request) {
  if (request.kind === "png") return png(request.pixels, request.recipe);
  if (request.kind === "load") {
    networks = await Networks.load(new URL(request.base), new URL(request.ort), request);
    const { card, threads, device } = networks;
    return {
      model: card.model,
      version: card.version,
      threads,
      device,
      styles: card.styles.map(({ code, ...about }) => about),
    };
  }
  if (!networks) throw new PaintError("model", "The model is not loaded. Load the page again.");
  if (request.kind === "warm") {
    await networks.open(request.graph);
    return { device: networks.device };
  }
  if (request.kind === "encode") {
    const pixels = await decode(request.source);
    const reader = new PhotoReader(pixels);
    const wide = Math.min(pixels.height, pixels.width) < 16 ? widened(reader, 16) : reader;
    return { name: request.name, code: await networks.encode(thumbnail(wide, networks.card.thumbnail)) };
  }
  const style = find(networks, request.style);
  const options = settings(request.options);
  const { held } = request;
  if (!held) throw new PaintError("no-picture", "There is no picture; choose one.");
  held.read ??= { pixels: await decode(held.source), sha256: await hash(held.source) };
  if (held.made?.size !== options.maxSize) {
    held.made = { size: options.maxSize, photo: new Photo(shrink(held.read.pixels, options.maxSize), networks) };
  }
  const painted = await paint(held.made.photo, style.code, options, async (share, step) => {
    postMessage({ number, progress: { share, step } });
    await pause(number);
  });
  return { ...painted, recipe: recipe(networks.card, style, options, held.read.sha256) };
}

/**
 * The style of that name, or the style itself.
 * @param {Networks} networks
 * @param {string | Style} wanted
 * @returns {Style}
 */
function find({ card }, wanted) {
  if (typeof wanted === "string") {
    const known = card.styles.find(each => each.name === wanted);
    if (known) return { name: known.name, code: fromText(known.code) };
  } else if (
    wanted?.code instanceof Float32Array &&
    wanted.code.length === card.code_size &&
    wanted.code.every(Number.isFinite)
  ) {
    return wanted;
  }
  const name = typeof wanted === "string" ? wanted : String(wanted?.name);
  throw new PaintError("no-style", `There is no style ${name} of this model; choose one of painter.styles.`, {
    name,
  });
}

/** SHA-256 of a file, in hex; "" where the source is no file. @param {Source} source */
async function hash(source) {
  if (!(source instanceof Blob) || !crypto.subtle) return "";
  const found = new Uint8Array(await crypto.subtle.digest("SHA-256", await source.arrayBuffer()));
  return Array.from(found, byte => byte.toString(16).padStart(2, "0")).join("");
}
