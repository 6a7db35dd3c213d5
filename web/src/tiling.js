/**
 * Tiling, as `sfumato.inference.tiling`: large pictures are painted in tiles with overlap.
 *
 * @module
 */

/** Side of a tile in pixels, without its halo. */
export const TILE = 1024;
/** Overlap in pixels: painted around a tile and discarded. */
export const HALO = 96;
/** Grid of the tiles in pixels. */
export const ALIGNMENT = 16;

/**
 * A span of rows or columns, with and without the halo; the ends are exclusive.
 * @typedef {{start: number, stop: number, paddedStart: number, paddedStop: number}} Span
 */

/**
 * Tiles that cover a picture once, row by row.
 * @param {number} height
 * @param {number} width
 * @param {number} [side] of a tile, a multiple of `ALIGNMENT`
 * @returns {{rows: Span, columns: Span}[]}
 */
export function tiles(height, width, side = TILE) {
  return spans(height, side).flatMap(rows => spans(width, side).map(columns => ({ rows, columns })));
}

/**
 * @param {number} length
 * @param {number} side
 */
function spans(length, side) {
  /** @type {Span[]} */
  const found = [];
  for (let start = 0; start < length;) {
    // A remainder narrower than the halo is joined to the last tile, whose halo covers it anyway.
    const stop = length - start <= side + HALO ? length : start + side;
    found.push({ start, stop, paddedStart: Math.max(0, start - HALO), paddedStop: Math.min(length, stop + HALO) });
    start = stop;
  }
  return found;
}
