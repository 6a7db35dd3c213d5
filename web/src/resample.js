/**
 * Resizing as Pillow does it (src/libImaging/Resample.c and Reduce.c), to the same rounding, so that a photo that is
 * made smaller here has the pixels that it has in Python.
 *
 * @module
 */

/**
 * A filter of a resampling: its kernel, and how far that reaches.
 * @typedef {{reach: number, at: (x: number) => number}} Filter
 */

/**
 * Planes of numbers, one after the other, rows from the top: `values[(plane * height + row) * width + column]`.
 * @typedef {{values: Float32Array, planes: number, height: number, width: number}} Planes
 */

/**
 * Part of a picture: left, upper, right and lower edge in pixels.
 * @typedef {[number, number, number, number]} Box
 */

const PRECISION = 22; // bits of the weights with which Pillow resizes pictures of 8 bits

/** @param {number} x */
const sinc = x => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI));

/** @type {Filter} Lanczos, with three lobes. */
export const LANCZOS = { reach: 3, at: x => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) };

/** @type {Filter} Bicubic, with a = -0.5. */
export const BICUBIC = {
  reach: 2,
  at: x => {
    const far = Math.abs(x);
    if (far < 1) return (1.5 * far - 2.5) * far * far + 1;
    return far < 2 ? ((far - 5) * far + 8) * far * -0.5 + 2 : 0;
  },
};

/** @type {Filter} The mean of the pixels below. */
export const BOX = { reach: 0.5, at: x => (x > -0.5 && x <= 0.5 ? 1 : 0) };

/** Round half to even, as Python's `round` does. @param {number} x */
export function roundEven(x) {
  const down = Math.floor(x);
  if (x - down !== 0.5) return Math.round(x);
  return down % 2 ? down + 1 : down;
}

/**
 * Make planes filled with zeros.
 * @param {number} planes
 * @param {number} height
 * @param {number} width
 * @returns {Planes}
 */
export const empty = (planes, height, width) => ({
  values: new Float32Array(planes * height * width),
  planes,
  height,
  width,
});

/**
 * The weights of an axis: for each new place the first old place that it reads, how many it reads, and their weights.
 * @param {number} length of the axis
 * @param {number} start
 * @param {number} stop part of the axis that is read; 32-bit floats, as in Pillow
 * @param {number} size new length
 * @param {Filter} filter
 */
function weights(length, start, stop, size, filter) {
  const from = Math.fround(start);
  const scale = Math.fround(Math.fround(stop) - from) / size;
  const stretch = Math.max(scale, 1);
  const reach = filter.reach * stretch;
  const most = Math.ceil(reach) * 2 + 1;
  const firsts = new Int32Array(size);
  const counts = new Int32Array(size);
  const values = new Float64Array(size * most);
  for (let place = 0; place < size; place++) {
    const center = from + (place + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - reach + 0.5));
    const count = Math.min(length, Math.trunc(center + reach + 0.5)) - first;
    let sum = 0;
    for (let i = 0; i < count; i++) {
      const weight = filter.at((i + first - center + 0.5) * (1 / stretch));
      values[place * most + i] = weight;
      sum += weight;
    }
    if (sum !== 0) for (let i = 0; i < count; i++) values[place * most + i] /= sum;
    firsts[place] = first;
    counts[place] = count;
  }
  return { firsts, counts, values, most };
}

/**
 * Resample planes of any values, without clipping.
 * @param {Planes} x
 * @param {number} height
 * @param {number} width
 * @param {Filter} filter
 * @param {Box} [box] part to use; by default the whole
 * @returns {Planes}
 */
export function resample(x, height, width, filter, box = [0, 0, x.width, x.height]) {
  const [left, top, right, bottom] = box.map(Math.fround);
  const across = width !== x.width || left !== 0 || right !== width;
  const down = height !== x.height || top !== 0 || bottom !== height;
  let out = x;
  if (across) out = acrossFloat(out, width, weights(x.width, left, right, width, filter));
  if (down) out = downFloat(out, height, weights(x.height, top, bottom, height, filter));
  return out;
}

/**
 * @param {Planes} x
 * @param {number} width
 * @param {ReturnType<typeof weights>} table
 * @returns {Planes}
 */
function acrossFloat(x, width, { firsts, counts, values, most }) {
  const out = empty(x.planes, x.height, width);
  for (let row = 0; row < x.planes * x.height; row++) {
    const read = row * x.width;
    const write = row * width;
    for (let place = 0; place < width; place++) {
      const first = read + firsts[place];
      const at = place * most;
      let sum = 0;
      for (let i = 0; i < counts[place]; i++) sum += x.values[first + i] * values[at + i];
      out.values[write + place] = sum;
    }
  }
  return out;
}

/**
 * @param {Planes} x
 * @param {number} height
 * @param {ReturnType<typeof weights>} table
 * @returns {Planes}
 */
function downFloat(x, height, { firsts, counts, values, most }) {
  const out = empty(x.planes, height, x.width);
  const sums = new Float64Array(x.width);
  for (let plane = 0; plane < x.planes; plane++) {
    for (let place = 0; place < height; place++) {
      sums.fill(0);
      for (let i = 0; i < counts[place]; i++) {
        const weight = values[place * most + i];
        const read = (plane * x.height + firsts[place] + i) * x.width;
        for (let column = 0; column < x.width; column++) sums[column] += x.values[read + column] * weight;
      }
      out.values.set(sums, (plane * height + place) * x.width);
    }
  }
  return out;
}

/**
 * Resize pictures in [0, 1] with Lanczos, which rings at sharp edges: the result is clipped.
 * @param {Planes} x
 * @param {number} height
 * @param {number} width
 */
export function resize(x, height, width) {
  return height === x.height && width === x.width ? x : clip(resample(x, height, width, LANCZOS));
}

/** Clip all values to [0, 1], in place. @param {Planes} x */
export function clip(x) {
  for (let i = 0; i < x.values.length; i++) x.values[i] = Math.min(1, Math.max(0, x.values[i]));
  return x;
}

/**
 * Means of blocks of factor × factor values; blocks at the right and lower edge may be smaller.
 * @param {Planes} x
 * @param {number} factor
 * @returns {Planes}
 */
export function reduce(x, factor) {
  if (factor === 1) return x;
  const out = empty(x.planes, Math.ceil(x.height / factor), Math.ceil(x.width / factor));
  for (let plane = 0; plane < x.planes; plane++) {
    for (let row = 0; row < out.height; row++) {
      const lower = Math.min(x.height, (row + 1) * factor);
      for (let column = 0; column < out.width; column++) {
        const right = Math.min(x.width, (column + 1) * factor);
        let sum = 0;
        for (let y = row * factor; y < lower; y++) {
          const line = (plane * x.height + y) * x.width;
          for (let i = column * factor; i < right; i++) sum += x.values[line + i];
        }
        const count = (lower - row * factor) * (right - column * factor);
        out.values[(plane * out.height + row) * out.width + column] = sum * (1 / count);
      }
    }
  }
  return out;
}

/**
 * Levels of 8 bits, `channels` side by side for each pixel.
 * @typedef {{data: Uint8Array | Uint8ClampedArray, channels: number, height: number, width: number}} Levels
 */

/**
 * Resize a picture of 8 bits with Lanczos, after block means where it shrinks much: as `Image.resize` with a
 * `reducing_gap` of 3 does. The first three channels are read.
 * @param {Levels} x
 * @param {number} height
 * @param {number} width
 * @returns {Levels} with three channels
 */
export function resizeLevels(x, height, width) {
  const fitting = { height: Math.trunc(x.height / height / 3) || 1, width: Math.trunc(x.width / width / 3) || 1 };
  const small = reduceLevels(x, fitting.height, fitting.width);
  const right = Math.fround(x.width / fitting.width);
  const bottom = Math.fround(x.height / fitting.height);
  const rows = small.height !== height || bottom !== height;
  const columns = small.width !== width || right !== width;
  let out = small;
  if (columns) out = acrossLevels(out, width, weights(small.width, 0, right, width, LANCZOS));
  if (rows) out = downLevels(out, height, weights(small.height, 0, bottom, height, LANCZOS));
  return out;
}

/**
 * Means of blocks, rounded as in Pillow.
 * @param {Levels} x
 * @param {number} down
 * @param {number} across
 * @returns {Levels} with three channels
 */
function reduceLevels(x, down, across) {
  const out = {
    data: new Uint8Array(0),
    channels: 3,
    height: Math.ceil(x.height / down),
    width: Math.ceil(x.width / across),
  };
  out.data = new Uint8Array(out.height * out.width * 3);
  for (let row = 0; row < out.height; row++) {
    const lower = Math.min(x.height, (row + 1) * down);
    for (let column = 0; column < out.width; column++) {
      const right = Math.min(x.width, (column + 1) * across);
      const count = (lower - row * down) * (right - column * across);
      const factor = Math.trunc(2 ** 32 / (256 * count));
      for (let channel = 0; channel < 3; channel++) {
        let sum = count >> 1;
        for (let y = row * down; y < lower; y++) {
          let at = (y * x.width + column * across) * x.channels + channel;
          for (let i = column * across; i < right; i++, at += x.channels) sum += x.data[at];
        }
        out.data[(row * out.width + column) * 3 + channel] = Math.imul(sum, factor) >>> 24;
      }
    }
  }
  return out;
}

/** The weights as integers. @param {ReturnType<typeof weights>} table */
function whole(table) {
  const scaled = table.values.map(value => Math.trunc(value * 2 ** PRECISION + (value < 0 ? -0.5 : 0.5)));
  return { ...table, values: Int32Array.from(scaled) };
}

/** @param {number} sum */
const level = sum => Math.min(255, Math.max(0, sum >> PRECISION));

/**
 * @param {Levels} x
 * @param {number} width
 * @param {ReturnType<typeof weights>} table
 * @returns {Levels}
 */
function acrossLevels(x, width, table) {
  const { firsts, counts, values, most } = whole(table);
  const data = new Uint8Array(x.height * width * 3);
  for (let row = 0; row < x.height; row++) {
    for (let place = 0; place < width; place++) {
      const at = place * most;
      let read = (row * x.width + firsts[place]) * 3;
      let [red, green, blue] = [1 << (PRECISION - 1), 1 << (PRECISION - 1), 1 << (PRECISION - 1)];
      for (let i = 0; i < counts[place]; i++, read += 3) {
        red += x.data[read] * values[at + i];
        green += x.data[read + 1] * values[at + i];
        blue += x.data[read + 2] * values[at + i];
      }
      const write = (row * width + place) * 3;
      data[write] = level(red);
      data[write + 1] = level(green);
      data[write + 2] = level(blue);
    }
  }
  return { data, channels: 3, height: x.height, width };
}

/**
 * @param {Levels} x
 * @param {number} height
 * @param {ReturnType<typeof weights>} table
 * @returns {Levels}
 */
function downLevels(x, height, table) {
  const { firsts, counts, values, most } = whole(table);
  const row = x.width * 3;
  const data = new Uint8Array(height * row);
  const sums = new Int32Array(row);
  for (let place = 0; place < height; place++) {
    sums.fill(1 << (PRECISION - 1));
    for (let i = 0; i < counts[place]; i++) {
      const weight = values[place * most + i];
      const read = (firsts[place] + i) * row;
      for (let at = 0; at < row; at++) sums[at] += x.data[read + at] * weight;
    }
    for (let at = 0; at < row; at++) data[place * row + at] = level(sums[at]);
  }
  return { data, channels: 3, height, width: x.width };
}
