/**
 * PNG files with a recipe inside. A canvas would multiply colours by their alpha, and cannot add text.
 *
 * @module
 */

/** @typedef {import("./draft.js").Pixels} Pixels */

/** The keyword of the chunk that holds the recipe (`sfumato.metadata.PNG_KEYWORD`). */
const KEYWORD = "sfumato";
const SIGN = Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10);
const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let found = n;
  for (let bit = 0; bit < 8; bit++) found = found & 1 ? 0xedb88320 ^ (found >>> 1) : found >>> 1;
  return found >>> 0;
});

/** @param {Uint8Array} bytes */
function checksum(bytes) {
  let found = 0xffffffff;
  for (const byte of bytes) found = TABLE[(found ^ byte) & 255] ^ (found >>> 8);
  return (found ^ 0xffffffff) >>> 0;
}

/**
 * @param {string} name
 * @param {Uint8Array} content
 */
function chunk(name, content) {
  const found = new Uint8Array(12 + content.length);
  const view = new DataView(found.buffer);
  view.setUint32(0, content.length);
  found.set(new TextEncoder().encode(name), 4);
  found.set(content, 8);
  view.setUint32(8 + content.length, checksum(found.subarray(4, 8 + content.length)));
  return found;
}

/**
 * The rows of a picture, each with the filter "Paeth", which suits photos and paintings: a value is stored as its
 * difference to the neighbour (left, above, or above left) that is nearest to left + above - above left.
 * @param {Pixels} pixels
 * @param {number} channels 3 or 4
 */
function filtered({ data, height, width }, channels) {
  const row = width * channels;
  const out = new Uint8Array(height * (row + 1));
  let above = new Uint8Array(row);
  let here = new Uint8Array(row);
  for (let y = 0; y < height; y++) {
    for (let x = 0, at = 0; x < width; x++)
      for (let c = 0; c < channels; c++, at++) here[at] = data[(y * width + x) * 4 + c];
    let write = y * (row + 1);
    out[write++] = 4;
    for (let at = 0; at < row; at++) {
      const left = at < channels ? 0 : here[at - channels];
      const corner = at < channels ? 0 : above[at - channels];
      const guess = left + above[at] - corner;
      const [a, b, c] = [Math.abs(guess - left), Math.abs(guess - above[at]), Math.abs(guess - corner)];
      out[write++] = here[at] - (a <= b && a <= c ? left : b <= c ? above[at] : corner);
    }
    [above, here] = [here, above];
  }
  return out;
}

/**
 * Write a PNG, tagged as sRGB.
 * @param {Pixels} pixels
 * @param {object} recipe
 */
export async function png(pixels, recipe) {
  let opaque = true;
  for (let i = 3; opaque && i < pixels.data.length; i += 4) opaque = pixels.data[i] === 255;
  const head = new Uint8Array(13);
  const view = new DataView(head.buffer);
  view.setUint32(0, pixels.width);
  view.setUint32(4, pixels.height);
  head.set([8, opaque ? 2 : 6, 0, 0, 0], 8);
  const stream = new Blob([filtered(pixels, opaque ? 3 : 4)]).stream().pipeThrough(new CompressionStream("deflate"));
  const packed = new Uint8Array(await new Response(stream).arrayBuffer());
  // Keyword, end of it, not compressed (two bytes), no language, no translated keyword, text in UTF-8.
  const text = new TextEncoder().encode(`${KEYWORD}\0\0\0\0\0${JSON.stringify(recipe)}`);
  const parts = [
    SIGN,
    chunk("IHDR", head),
    chunk("sRGB", Uint8Array.of(0)),
    chunk("iTXt", text),
    chunk("IDAT", packed),
  ];
  return new Blob([...parts, chunk("IEND", new Uint8Array())], { type: "image/png" });
}
