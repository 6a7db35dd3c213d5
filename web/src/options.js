/**
 * The options of a painting, checked in one place, and its recipe.
 *
 * @module
 */

import { toText } from "./codes.js";
import { PaintError } from "./errors.js";
import { ALIGNMENT, TILE } from "./tiling.js";

/** @typedef {import("./networks.js").Card} Card */

/** Longest side, and largest number of pixels, of a photo: more would not fit into the memory of a browser. */
export const MAX_SIDE = 16_384;
export const MAX_PIXELS = 60_000_000;
const MAX_SEED = 2 ** 53;
const COLORS = ["style", "content", "luminance"];

/**
 * A style: a built-in one by name, or one that `Painter.encode` made of a picture.
 * @typedef {object} Style
 * @property {string} name
 * @property {Float32Array} code
 */

/**
 * How a photo is painted.
 * @typedef {object} PaintOptions
 * @property {string | Style} style the name of a built-in style (`Painter.styles`), or a style of your own
 * @property {number} [strength] from 0, the photo, to 1, the full style, which is the default
 * @property {number} [stroke] size of the brush strokes, from 0.5 to 2; 1 by default
 * @property {"style" | "content" | "luminance"} [color] the palette: of the style, by default; of the photo; or, with
 *   `"luminance"`, only the luma is painted
 * @property {number} [seed] of the placement of the strokes, a whole number from 0, the default, to 2^53
 * @property {number} [maxSize] the photo is first made smaller, to a longer side of at most so many pixels; 0, the
 *   default: it keeps its size
 * @property {number} [tile] side of the tiles in pixels, a multiple of 16; 1024 by default. Small ones need less memory
 * @property {AbortSignal} [signal] cancels the painting
 */

/** The options with their defaults. @typedef {Required<Omit<PaintOptions, "style" | "signal">>} Settings */

/**
 * Check options and fill in the defaults.
 * @param {Omit<PaintOptions, "style">} options
 * @returns {Settings}
 */
export function settings({ strength = 1, stroke = 1, color = "style", seed = 0, maxSize = 0, tile = TILE }) {
  within("strength", strength, 0, 1);
  within("stroke", stroke, 0.5, 2);
  if (!COLORS.includes(color)) {
    throw new PaintError("bad-option", `color must be one of ${COLORS.join(", ")}, but is ${color}.`, {
      name: "color",
    });
  }
  within("seed", seed, 0, MAX_SEED, true);
  within("maxSize", maxSize, 0, MAX_SIDE, true);
  if (maxSize) within("maxSize", maxSize, 16, MAX_SIDE, true);
  within("tile", tile, ALIGNMENT, MAX_SIDE, true);
  if (tile % ALIGNMENT)
    throw new PaintError("bad-option", `tile must be a multiple of ${ALIGNMENT}, but is ${tile}.`, {
      name: "tile",
    });
  return { strength, stroke, color, seed, maxSize, tile };
}

/**
 * @param {string} name
 * @param {number} value
 * @param {number} least
 * @param {number} most
 * @param {boolean} [whole]
 */
function within(name, value, least, most, whole = false) {
  if (typeof value === "number" && value >= least && value <= most && (!whole || Number.isInteger(value))) return;
  const kind = whole ? "a whole number" : "a number";
  throw new PaintError("bad-option", `${name} must be ${kind} from ${least} to ${most}, but is ${String(value)}.`, {
    name,
  });
}

/**
 * How a picture was made, as Sfumato stores it in a PNG: `sfumato show` reads it, and `sfumato replay` paints it again.
 * @param {Card} card
 * @param {Style} style
 * @param {Settings} options
 * @param {string} photo SHA-256 of the photo's file, in hex; "" where there was no file
 */
export function recipe(card, style, { strength, stroke, color, seed, maxSize }, photo) {
  return {
    version: card.version,
    model: card.model,
    model_sha256: card.digest,
    styles: [{ name: style.name, code: toText(style.code) }],
    strength,
    stroke,
    color,
    max_size: maxSize,
    masks: [],
    file_quality: 92,
    seed,
    guidance: null,
    ...(photo && { photo_sha256: photo }),
  };
}

/** A recipe. @typedef {ReturnType<typeof recipe>} Recipe */
