/**
 * Drafts, as `sfumato.inference.draft`: a photo painted by the small generator, at a base size, then at its own size.
 *
 * @module
 */

import { fuse } from "./codes.js";
import { integers } from "./random.js";
import { EnlargedReader, PhotoReader, PlanesReader, all, cut, keepChroma, paste, widened } from "./readers.js";
import { empty, resize, roundEven } from "./resample.js";
import { ALIGNMENT, tiles } from "./tiling.js";

/** @typedef {import("./resample.js").Planes} Planes */
/** @typedef {import("./readers.js").Reader} Reader */
/** @typedef {import("./networks.js").Networks} Networks */
/** @typedef {import("./options.js").Settings} Settings */
/** Red, green, blue, alpha. @typedef {{data: Uint8ClampedArray, height: number, width: number}} Pixels */

/** Smallest longer side of a picture in pixels. */
export const SMALLEST_SIDE = 16;
/** Short side in pixels at which strokes have the size of those in the training pictures. */
export const BASE_SIDE = 512;
/** Ratio to the base size above which a painting is not only enlarged, but painted once more at its own size. */
export const REPAINT_FACTOR = 2;
/** Period of the generator's noise field along each axis, in places. */
export const NOISE_PLACES = 429;
/** The statistics of a photo take about as long as so many pixels of the painting. */
const MEASURING = 120_000;
/** Pixels of the longer side of a thumbnail, at most. */
export const LONGEST_THUMBNAIL = 1024;

/**
 * What is the same for each painting of a photo; the reader, its thumbnail and its style code.
 */
export class Photo {
  /** @param {Pixels} pixels @param {Networks} networks */
  constructor(pixels, networks) {
    this.pixels = pixels;
    this.networks = networks;
    this.reader = new PhotoReader(pixels);
    /** @type {Reader} */
    this.wide =
      Math.min(pixels.height, pixels.width) < SMALLEST_SIDE ? widened(this.reader, SMALLEST_SIDE) : this.reader;
    this.small = thumbnail(this.wide, networks.card.thumbnail);
    /** @type {Promise<Float32Array> | undefined} */
    this.code = undefined;
  }

  /** The style code of the photo itself, computed once. */
  own() {
    this.code ??= this.networks.encode(this.small);
    return this.code;
  }
}

/**
 * The picture at the size that statistics and style codes are computed from.
 * @param {Reader} source
 * @param {number} short
 */
export function thumbnail(source, short) {
  const scale = Math.min(
    1,
    short / Math.min(source.height, source.width),
    LONGEST_THUMBNAIL / Math.max(source.height, source.width),
  );
  /** @param {number} side */
  const size = side => Math.max(SMALLEST_SIDE, roundEven(side * scale));
  return source.reduced(size(source.height), size(source.width));
}

/**
 * The same photo with a longer side of at most `longest` pixels; never enlarged.
 * @param {Pixels} photo
 * @param {number} longest
 * @returns {Pixels}
 */
export function shrink(photo, longest) {
  const scale = longest / Math.max(photo.height, photo.width);
  if (!longest || scale >= 1) return photo;
  const [height, width] = [photo.height, photo.width].map(side => Math.max(1, roundEven(side * scale)));
  let opaque = true;
  for (let at = 3; opaque && at < photo.data.length; at += 4) opaque = photo.data[at] === 255;
  /** One channel at the new size: plane by plane, because large photos in floats fill the memory of a phone. */
  const small = (/** @type {number} */ channel) => {
    const plane = empty(1, photo.height, photo.width);
    for (let i = 0, at = 0; i < plane.values.length; i++, at += 4) {
      // Weighted by the alpha, so that colours of transparent pixels do not bleed into visible ones.
      const cover = opaque || channel === 3 ? 1 : photo.data[at + 3] / 255;
      plane.values[i] = (photo.data[at + channel] / 255) * cover;
    }
    return resize(plane, height, width).values;
  };
  const data = new Uint8ClampedArray(4 * height * width).fill(255);
  const cover = opaque ? null : small(3);
  for (let channel = 0; channel < 3; channel++) {
    small(channel).forEach((value, i) => {
      data[4 * i + channel] = Math.fround((cover ? value / Math.max(cover[i], 1e-6) : value) * 255);
    });
  }
  cover?.forEach((value, i) => {
    data[4 * i + 3] = Math.fround(value * 255);
  });
  return { data, height, width };
}

/**
 * Paint a photo.
 * @param {Photo} photo
 * @param {Float32Array} style its code
 * @param {Settings} options
 * @param {(share: number, step: string) => Promise<void>} progress is called before each step, and throws to cancel
 * @returns {Promise<Pixels>}
 */
export async function paint(photo, style, options, progress) {
  const { networks, wide: source, small } = photo;
  const short = Math.min(source.height, source.width);
  const scale = short / Math.max(SMALLEST_SIDE, roundEven(Math.min(short, BASE_SIDE) / options.stroke));
  const size = source.height * source.width;
  const planned = scale === 1 ? size : size / scale ** 2 + (scale > REPAINT_FACTOR ? size : 0);
  const cost = planned + MEASURING;
  let done = 0;

  await progress(0, "photo");
  let code = style;
  const keepPalette = options.color === "content";
  if (options.strength !== 1 || keepPalette) {
    code = fuse(code, await photo.own(), options.strength, networks.card.palette, keepPalette);
  }
  const measure = async (/** @type {Planes} */ picture) => {
    const found = await networks.measure(picture, code);
    done += MEASURING / (scale > REPAINT_FACTOR ? 2 : 1);
    return found;
  };
  let params = await measure(small);
  const shift = options.seed ? integers(options.seed, NOISE_PLACES, 2).map(place => place * ALIGNMENT) : [0, 0];

  /** @type {(reader: Reader, use: (painted: Planes, top: number, left: number) => void) => Promise<void>} */
  const paintTiles = async (reader, use) => {
    const regions = tiles(reader.height, reader.width, options.tile);
    for (const { rows, columns } of regions) {
      await progress(Math.min(1, done / cost), "tile");
      const padded = {
        top: rows.paddedStart,
        bottom: rows.paddedStop,
        left: columns.paddedStart,
        right: columns.paddedStop,
      };
      const painted = await networks.decode(reader.region(padded), params, [
        padded.top + shift[0],
        padded.left + shift[1],
      ]);
      use(
        cut(painted, {
          top: rows.start - padded.top,
          bottom: rows.stop - padded.top,
          left: columns.start - padded.left,
          right: columns.stop - padded.left,
        }),
        rows.start,
        columns.start,
      );
      done += (rows.stop - rows.start) * (columns.stop - columns.start);
    }
  };

  const out = photo.pixels.data.slice();
  const { height, width } = photo.pixels;
  /** Write a tile into the result. @type {(painted: Planes, top: number, left: number) => void} */
  const write = (painted, top, left) => {
    // Narrow photos were widened; what is beyond their edge is left out.
    const shown = cut(painted, {
      ...all(painted),
      bottom: Math.min(painted.height, height - top),
      right: Math.min(painted.width, width - left),
    });
    const region = { top, left, bottom: top + shown.height, right: left + shown.width };
    const { values } = options.color === "luminance" ? keepChroma(shown, photo.reader.region(region)) : shown;
    const count = shown.height * shown.width;
    for (let row = 0, at = 0; row < shown.height; row++) {
      let pixel = ((top + row) * width + left) * 4;
      for (let column = 0; column < shown.width; column++, at++, pixel += 4) {
        for (let plane = 0; plane < 3; plane++) out[pixel + plane] = Math.fround(values[plane * count + at] * 255);
      }
    }
  };

  if (scale === 1) {
    await paintTiles(source, write);
  } else {
    const [baseHeight, baseWidth] = [source.height, source.width].map(side =>
      Math.max(SMALLEST_SIDE, roundEven(side / scale)),
    );
    const reduced = source.reduced(baseHeight, baseWidth);
    const base = empty(3, baseHeight, baseWidth);
    await paintTiles(new PlanesReader(reduced), (painted, top, left) => paste(base, painted, top, left));
    if (scale > REPAINT_FACTOR) {
      params = await measure(thumbnail(new PlanesReader(base), networks.card.thumbnail));
      await paintTiles(new EnlargedReader(source, base, reduced), write);
    } else {
      const large =
        scale > 1
          ? new EnlargedReader(source, base, reduced)
          : new PlanesReader(resize(base, source.height, source.width));
      for (const { rows, columns } of tiles(source.height, source.width, options.tile)) {
        await progress(0.95, "enlarge");
        const region = { top: rows.start, bottom: rows.stop, left: columns.start, right: columns.stop };
        write(large.region(region), rows.start, columns.start);
      }
    }
  }
  await progress(1, "done");
  return { data: out, height, width };
}
