/**
 * NumPy's default random numbers (PCG64, seeded by SeedSequence), as far as the seed of a painting needs them.
 *
 * @module
 */

const WORD = 0xffffffffn;
const LONG = (1n << 64n) - 1n;
const WIDE = (1n << 128n) - 1n;
const STEP = 0x2360ed051fc65da44385df649fccf645n;

/** The state that NumPy makes of a seed: numbers of 64 bits. @param {number} seed @returns {bigint[]} */
function seeded(seed) {
  /** @type {bigint[]} */
  const entropy = [];
  for (let rest = BigInt(seed); entropy.length === 0 || rest > 0n; rest >>= 32n) entropy.push(rest & WORD);
  let factor = 0x43b0d7e5n;
  /** @param {bigint} value */
  const hash = value => {
    let mixed = value ^ factor;
    factor = (factor * 0x931e8875n) & WORD;
    mixed = (mixed * factor) & WORD;
    return mixed ^ (mixed >> 16n);
  };
  /** @param {bigint} x @param {bigint} y */
  const mix = (x, y) => {
    const mixed = (0xca01f9ddn * x - 0x4973f715n * y) & WORD;
    return mixed ^ (mixed >> 16n);
  };
  const pool = [0, 1, 2, 3].map(i => hash(entropy[i] ?? 0n));
  for (let from = 0; from < 4; from++) {
    for (let to = 0; to < 4; to++) if (from !== to) pool[to] = mix(pool[to], hash(pool[from]));
  }
  let other = 0x8b51f9ddn;
  const words = Array.from({ length: 8 }, (_, i) => {
    let value = pool[i % 4] ^ other;
    other = (other * 0x58f38dedn) & WORD;
    value = (value * other) & WORD;
    return value ^ (value >> 16n);
  });
  return [0, 2, 4, 6].map(i => words[i] | (words[i + 1] << 32n));
}

/**
 * `numpy.random.default_rng(seed).integers(0, bound, count)`.
 * @param {number} seed whole, 0 or more
 * @param {number} bound above 1, at most 2^32
 * @param {number} count
 * @returns {number[]}
 */
export function integers(seed, bound, count) {
  const [high, low, sequenceHigh, sequenceLow] = seeded(seed);
  const increment = ((((sequenceHigh << 64n) | sequenceLow) << 1n) | 1n) & WIDE;
  const advance = () => (state = (state * STEP + increment) & WIDE);
  let state = 0n;
  advance();
  state = (state + ((high << 64n) | low)) & WIDE;
  advance();
  /** @type {bigint[]} */
  const waiting = []; // each number of 64 bits gives two of 32, the lower first
  const next = () => {
    if (waiting.length === 0) {
      advance();
      const turn = state >> 122n;
      const folded = (state >> 64n) ^ (state & LONG);
      const turned = ((folded >> turn) | (folded << (64n - turn))) & LONG;
      waiting.push(turned & WORD, turned >> 32n);
    }
    return /** @type {bigint} */ (waiting.shift());
  };
  const size = BigInt(bound);
  const least = (WORD + 1n - size) % size; // Lemire's method: smaller remainders would favour some numbers
  return Array.from({ length: count }, () => {
    let product = next() * size;
    while ((product & WORD) < least) product = next() * size;
    return Number(product >> 32n);
  });
}
