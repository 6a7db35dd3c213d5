/**
 * Pixel readers, as `sfumato.inference.pixel_readers`: the pixels of a picture by region, from planes, a photo, or an
 * enlarged smaller picture.
 *
 * @module
 */

import { BICUBIC, BOX, LANCZOS, clip, empty, reduce, resample, resize, resizeLevels } from "./resample.js";

/** @typedef {import("./resample.js").Planes} Planes */
/** The ends are exclusive. @typedef {{top: number, bottom: number, left: number, right: number}} Region */
/**
 * A source of pixels in [0, 1].
 * @typedef {object} Reader
 * @property {number} height
 * @property {number} width
 * @property {(region: Region) => Planes} region
 * @property {(height: number, width: number) => Planes} reduced the whole picture at another size
 */

const REACH = 4; // pixels; a bicubic kernel reads 2 on each side
const BAND_ROWS = 256; // rows that are converted to floats at a time
const FILL_SIDE = 512; // longer side, at most, of the picture that holds the colours under transparency
const LUMA = [0.299, 0.587, 0.114].map(Math.fround);
const UNIT = Float32Array.from({ length: 256 }, (_, level) => level / 255);

/** The whole of a picture as a region. @param {{height: number, width: number}} x @returns {Region} */
export const all = x => ({ top: 0, bottom: x.height, left: 0, right: x.width });

/**
 * Copy a region of planes.
 * @param {Planes} x
 * @param {Region} region
 */
export function cut(x, { top, bottom, left, right }) {
  const out = empty(x.planes, bottom - top, right - left);
  for (let plane = 0; plane < x.planes; plane++) {
    for (let row = 0; row < out.height; row++) {
      const read = (plane * x.height + top + row) * x.width;
      out.values.set(x.values.subarray(read + left, read + right), (plane * out.height + row) * out.width);
    }
  }
  return out;
}

/**
 * Copy planes into a region of others.
 * @param {Planes} into
 * @param {Planes} x
 * @param {number} top
 * @param {number} left
 */
export function paste(into, x, top, left) {
  for (let plane = 0; plane < x.planes; plane++) {
    for (let row = 0; row < x.height; row++) {
      const read = (plane * x.height + row) * x.width;
      into.values.set(x.values.subarray(read, read + x.width), (plane * into.height + top + row) * into.width + left);
    }
  }
}

/**
 * A region of a picture that is enlarged by bicubic interpolation: the same values as in the whole enlarged picture.
 * @param {Planes} x
 * @param {number} height of the enlarged picture
 * @param {number} width
 * @param {Region} region of it
 */
export function enlarge(x, height, width, { top, bottom, left, right }) {
  /** @type {(start: number, stop: number, size: number, old: number) => number[]} */
  const span = (start, stop, size, old) => {
    const [from, to] = [(start * old) / size, (stop * old) / size];
    const first = Math.max(0, Math.trunc(from) - REACH); // only the pixels that the kernel reads are copied
    return [first, Math.min(old, Math.trunc(to) + 1 + REACH), from - first, to - first];
  };
  const [firstRow, lastRow, upper, lower] = span(top, bottom, height, x.height);
  const [firstColumn, lastColumn, near, far] = span(left, right, width, x.width);
  const part = cut(x, { top: firstRow, bottom: lastRow, left: firstColumn, right: lastColumn });
  return resample(part, bottom - top, right - left, BICUBIC, [near, upper, far, lower]);
}

/**
 * The mean of the planes of a picture, as one plane.
 * @param {Planes} x
 */
export function gray(x) {
  const out = empty(1, x.height, x.width);
  const [second, third] = [out.values.length, 2 * out.values.length];
  for (let i = 0; i < second; i++) {
    out.values[i] = Math.fround(Math.fround(x.values[i] + x.values[second + i]) + x.values[third + i]) / 3;
  }
  return out;
}

/** The luma of a picture, with the weights of BT.601. @param {Planes} x */
export function luma(x) {
  const out = empty(1, x.height, x.width);
  const size = out.values.length;
  for (let i = 0; i < size; i++) {
    out.values[i] = LUMA[0] * x.values[i] + LUMA[1] * x.values[size + i] + LUMA[2] * x.values[2 * size + i];
  }
  return out;
}

/** The standard deviation of the finest octave of a plane. @param {Planes} y */
function finest(y) {
  let across = 0;
  let down = 0;
  for (let row = 0; row < y.height; row++) {
    for (let at = row * y.width; at < (row + 1) * y.width - 1; at++) across += (y.values[at + 1] - y.values[at]) ** 2;
  }
  for (let at = y.width; at < y.values.length; at++) down += (y.values[at] - y.values[at - y.width]) ** 2;
  return Math.sqrt(across / (y.height * (y.width - 1)) + down / ((y.height - 1) * y.width));
}

/**
 * How strong the finest detail of a painting is relative to its photo's, up to 1.
 * @param {Planes} painted
 * @param {Planes} photo
 */
const detailGain = (painted, photo) => Math.min(1, finest(luma(painted)) / Math.max(finest(luma(photo)), 1e-4));

/**
 * The luma of a painting with the colour differences of its photo.
 * @param {Planes} painted
 * @param {Planes} photo
 */
export function keepChroma(painted, photo) {
  const [there, here] = [luma(painted), luma(photo)];
  const out = { ...photo, values: photo.values.slice() };
  const size = there.values.length;
  for (let i = 0; i < out.values.length; i++)
    out.values[i] += Math.fround(there.values[i % size] - here.values[i % size]);
  return clip(out);
}

/**
 * Fill transparent pixels with the colours of opaque ones nearby (pull-push, Grossman & Dally 1998).
 * @param {Planes} x
 * @param {Planes} cover opacity, not 0 everywhere
 * @returns {Planes}
 */
function bleed(x, cover) {
  const size = cover.values.length;
  const weighted = { ...x, values: x.values.map((value, i) => value * cover.values[i % size]) };
  if (Math.min(x.height, x.width) === 1 || cover.values.every(value => value > 0)) {
    let whole = 0;
    for (const value of cover.values) whole += value;
    const means = [0, 1, 2].map(plane => {
      let sum = 0;
      for (let i = 0; i < size; i++) sum += weighted.values[plane * size + i];
      return sum / whole;
    });
    return {
      ...x,
      values: x.values.map((value, i) => (cover.values[i % size] > 0 ? value : means[Math.trunc(i / size)])),
    };
  }
  const [height, width] = [(x.height + 1) >> 1, (x.width + 1) >> 1];
  const smallCover = resample(cover, height, width, BOX);
  const small = resample(weighted, height, width, BOX);
  const count = smallCover.values.length;
  for (let i = 0; i < small.values.length; i++)
    small.values[i] /= Math.max(smallCover.values[i % count], Math.fround(1e-6));
  const fill = clip(enlarge(bleed(small, smallCover), x.height, x.width, all(x)));
  const values = weighted.values.map((value, i) => value + fill.values[i] * (1 - cover.values[i % size]));
  return { ...x, values };
}

/** Reads planes in memory. @implements {Reader} */
export class PlanesReader {
  /** @param {Planes} planes */
  constructor(planes) {
    this.planes = planes;
    this.height = planes.height;
    this.width = planes.width;
  }

  /** @param {Region} region */
  region(region) {
    return cut(this.planes, region);
  }

  /** @param {number} height @param {number} width */
  reduced(height, width) {
    return resize(this.planes, height, width);
  }
}

/** Reads a photo of 8 bits; under transparency, it gives the colours of opaque pixels nearby. @implements {Reader} */
export class PhotoReader {
  /** @param {{data: Uint8Array | Uint8ClampedArray, height: number, width: number}} photo red, green, blue, alpha */
  constructor(photo) {
    this.data = photo.data;
    this.height = photo.height;
    this.width = photo.width;
    this.fill = this.#makeFill();
  }

  /** @param {Region} region @param {number} [step] reads each step-th pixel */
  #colours({ top, bottom, left, right }, step = 1) {
    const out = empty(3, Math.ceil((bottom - top) / step), Math.ceil((right - left) / step));
    const size = out.height * out.width;
    for (let row = top, at = 0; row < bottom; row += step) {
      for (let column = left; column < right; column += step, at++) {
        const pixel = (row * this.width + column) * 4;
        for (let plane = 0; plane < 3; plane++) out.values[plane * size + at] = UNIT[this.data[pixel + plane]];
      }
    }
    return out;
  }

  /** @param {Region} region @param {number} [step] */
  #cover({ top, bottom, left, right }, step = 1) {
    const out = empty(1, Math.ceil((bottom - top) / step), Math.ceil((right - left) / step));
    for (let row = top, at = 0; row < bottom; row += step) {
      for (let column = left; column < right; column += step, at++) {
        out.values[at] = UNIT[this.data[(row * this.width + column) * 4 + 3]];
      }
    }
    return out;
  }

  /** The colours under transparency, at a reduced size; none where nothing, or everything, is transparent. */
  #makeFill() {
    let [least, most] = [255, 0];
    for (let i = 3; i < this.data.length; i += 4) {
      least = Math.min(least, this.data[i]);
      most = Math.max(most, this.data[i]);
    }
    if (least === 255 || most === 0) return null;
    const step = Math.max(1, Math.ceil(Math.max(this.height, this.width) / FILL_SIDE));
    return bleed(this.#colours(all(this), step), this.#cover(all(this), step));
  }

  /** @param {Region} region */
  region(region) {
    const picture = this.#colours(region);
    if (!this.fill) return picture;
    const cover = this.#cover(region);
    const fill = clip(enlarge(this.fill, this.height, this.width, region));
    const size = cover.values.length;
    for (let i = 0; i < picture.values.length; i++) {
      const share = cover.values[i % size];
      picture.values[i] = picture.values[i] * share + fill.values[i] * (1 - share);
    }
    return picture;
  }

  /** @param {number} height @param {number} width */
  reduced(height, width) {
    if (this.fill) return this.#reducedByBands(height, width);
    const { data } = resizeLevels(
      { data: this.data, channels: 4, height: this.height, width: this.width },
      height,
      width,
    );
    const out = empty(3, height, width);
    const size = height * width;
    for (let i = 0; i < size; i++) {
      for (let plane = 0; plane < 3; plane++) out.values[plane * size + i] = UNIT[data[3 * i + plane]];
    }
    return out;
  }

  /** Reduce by a whole factor in bands of rows, then resize. @param {number} height @param {number} width */
  #reducedByBands(height, width) {
    const factor = Math.max(1, Math.trunc(Math.min(this.height / height, this.width / width) / 3));
    const rows = factor * Math.max(1, Math.trunc(BAND_ROWS / factor));
    const small = empty(3, Math.ceil(this.height / factor), Math.ceil(this.width / factor));
    for (let top = 0; top < this.height; top += rows) {
      const band = { top, bottom: Math.min(top + rows, this.height), left: 0, right: this.width };
      paste(small, reduce(this.region(band), factor), top / factor, 0);
    }
    return clip(resample(small, height, width, LANCZOS, [0, 0, this.width / factor, this.height / factor]));
  }
}

/**
 * A picture that is too narrow to be painted, padded to a least side by repeating its edge.
 * @param {Reader} source
 * @param {number} side
 */
export function widened(source, side) {
  const x = source.region(all(source));
  const out = empty(3, Math.max(side, x.height), Math.max(side, x.width));
  for (let plane = 0; plane < 3; plane++) {
    for (let row = 0; row < out.height; row++) {
      const read = (plane * x.height + Math.min(row, x.height - 1)) * x.width;
      const write = (plane * out.height + row) * out.width;
      out.values.set(x.values.subarray(read, read + x.width), write);
      out.values.fill(x.values[read + x.width - 1], write + x.width, write + out.width);
    }
  }
  return new PlanesReader(out);
}

/** Reads a painting of a smaller size, enlarged, with the finest detail of the photo added. @implements {Reader} */
export class EnlargedReader {
  /**
   * @param {Reader} photo
   * @param {Planes} painted
   * @param {Planes} small the photo of which it was painted
   */
  constructor(photo, painted, small) {
    this.photo = photo;
    this.painted = painted;
    this.small = gray(small); // enlarging is linear: one plane suffices
    this.gain = Math.fround(detailGain(painted, small));
    this.height = photo.height;
    this.width = photo.width;
  }

  /** @param {Region} region */
  region(region) {
    const out = enlarge(this.painted, this.height, this.width, region);
    const blurred = enlarge(this.small, this.height, this.width, region);
    const sharp = gray(this.photo.region(region));
    const size = sharp.values.length;
    for (let i = 0; i < size; i++) {
      const detail = Math.fround(this.gain * Math.fround(sharp.values[i] - blurred.values[i]));
      for (let at = i; at < out.values.length; at += size) out.values[at] += detail;
    }
    return clip(out);
  }

  /** The painting at another size, without the added detail. @param {number} height @param {number} width */
  reduced(height, width) {
    return resize(this.painted, height, width);
  }
}
