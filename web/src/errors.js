/**
 * Errors: one sentence of what is wrong and what to do, and a code for programs and translations.
 *
 * @module
 */

/**
 * What went wrong. `no-picture`: there is no picture, or it cannot be decoded; `too-large`, `too-small`: its size;
 * `no-style`: there is no such style; `bad-option`: an option is outside its range; `model`: a file is missing,
 * damaged, or cannot be run; `memory`: the memory does not suffice; `cancelled`: the caller cancelled, or closed the
 * painter.
 * @typedef {"no-picture" | "too-large" | "too-small" | "no-style" | "bad-option" | "model" | "memory" | "cancelled"
 *   } ErrorCode
 */

/** The error that the functions of this package throw. */
export class PaintError extends Error {
  /**
   * @param {ErrorCode} code
   * @param {string} message
   * @param {Record<string, string | number>} [values] that the message names
   */
  constructor(code, message, values = {}) {
    super(message);
    this.name = "PaintError";
    /** What went wrong, for programs. */
    this.code = code;
    /** The values that the message names. */
    this.values = values;
  }
}
