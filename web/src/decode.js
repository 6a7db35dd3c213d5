/**
 * From files and pictures of the browser to pixels.
 *
 * @module
 */

import { PaintError } from "./errors.js";
import { MAX_PIXELS, MAX_SIDE } from "./options.js";

/** @typedef {import("./draft.js").Pixels} Pixels */

/**
 * Check the size of a picture.
 * @param {number} height
 * @param {number} width
 */
export function checkSize(height, width) {
  const least = 16;
  if (Math.max(height, width) < least) {
    throw new PaintError(
      "too-small",
      `The picture has ${width} × ${height} pixels; it needs ${least} or more on a side.`,
      { height, width },
    );
  }
  if (height * width > MAX_PIXELS || Math.max(height, width) > MAX_SIDE) {
    const most = MAX_PIXELS / 1e6;
    throw new PaintError(
      "too-large",
      `The picture has ${width} × ${height} pixels; this browser takes up to ${most} million. Make it smaller.`,
      { height, width, most },
    );
  }
}

/**
 * The pixels of a picture: sRGB, upright, 8 bits. A canvas stores colours multiplied by their alpha, so that colours
 * under strong transparency lose precision; `ImageData` keeps them.
 * @param {Blob | ImageBitmap | ImageData} source
 * @returns {Promise<Pixels>}
 */
export async function decode(source) {
  if (source instanceof ImageData) {
    checkSize(source.height, source.width);
    if (source.data.BYTES_PER_ELEMENT !== 1) throw new PaintError("no-picture", "The pixels must have 8 bits.");
    return { data: /** @type {Uint8ClampedArray} */ (source.data), height: source.height, width: source.width };
  }
  const picture = source instanceof ImageBitmap ? source : await open(source);
  try {
    checkSize(picture.height, picture.width);
    const canvas = new OffscreenCanvas(picture.width, picture.height);
    const context = canvas.getContext("2d", { willReadFrequently: true, colorSpace: "srgb" });
    if (!context)
      throw new PaintError("memory", "The memory of this device does not suffice; choose a smaller picture.");
    context.drawImage(picture, 0, 0);
    const { data, height, width } = context.getImageData(0, 0, picture.width, picture.height);
    return { data, height, width };
  } finally {
    if (picture !== source) picture.close();
  }
}

/** Decode a file. @param {Blob} file */
async function open(file) {
  if (!file.size) throw new PaintError("no-picture", "The file is empty; choose a picture.");
  try {
    return await createImageBitmap(file, { imageOrientation: "from-image", premultiplyAlpha: "none" });
  } catch {
    throw new PaintError(
      "no-picture",
      "This file is not a picture that the browser can read, or it is damaged; choose a JPEG, PNG or WebP.",
    );
  }
}
