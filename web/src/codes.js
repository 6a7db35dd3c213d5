/**
 * Style codes: small vectors that stand for a style, as `sfumato.style_code`.
 *
 * @module
 */

/** Decode 32-bit floats from base64, as `model.json` and recipes store them. @param {string} text */
export function fromText(text) {
  const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  return new Float32Array(bytes.buffer);
}

/** Encode 32-bit floats as base64. @param {Float32Array} values */
export function toText(values) {
  return btoa(String.fromCharCode(...new Uint8Array(values.buffer, values.byteOffset, values.byteLength)));
}

/**
 * The weighted mean of codes.
 * @param {Float32Array[]} codes
 * @param {number[]} weights 0 or more, not all 0
 */
export function blend(codes, weights) {
  const largest = Math.max(...weights);
  const shares = weights.map(weight => weight / largest);
  const sum = shares.reduce((total, share) => total + share, 0);
  return Float32Array.from(
    codes[0],
    (_, i) => codes.reduce((total, code, k) => total + (shares[k] / sum) * code[i], 0) + 0,
  );
}

/**
 * The code to paint a photo with: the style's interpolated with the photo's own by strength.
 * @param {Float32Array} style
 * @param {Float32Array} own the photo's code
 * @param {number} strength from 0 to 1
 * @param {number[]} palette first and last place of the palette, which is the photo's where `keepPalette`
 * @param {boolean} keepPalette
 */
export function fuse(style, own, strength, palette, keepPalette) {
  const code = style.slice();
  if (keepPalette) code.set(own.subarray(palette[0], palette[1]), palette[0]);
  return blend([code, own], [strength, 1 - strength]);
}
