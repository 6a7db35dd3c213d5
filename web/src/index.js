/**
 * Paint photos in the style of paintings, in the browser: Sfumato's drafts, without a server.
 *
 * ```js
 * import { Painter } from "sfumato-web";
 *
 * const painter = await Painter.load({ base: "./sfumato/" });
 * const painting = await painter.paint(file, { style: "monet", strength: 0.8 }, share => console.log(share));
 * canvas.getContext("2d").putImageData(painting.image, 0, 0);
 * ```
 *
 * @module
 */

import { PaintError } from "./errors.js";

export { PaintError } from "./errors.js";

/** @typedef {import("./errors.js").ErrorCode} ErrorCode */
/** @typedef {import("./options.js").PaintOptions} PaintOptions */
/** @typedef {import("./options.js").Recipe} Recipe */
/** @typedef {import("./options.js").Style} Style */
/**
 * A picture: a file, or what a page has of one. It must not change afterwards.
 * @typedef {Blob | ImageBitmap | ImageData} Source
 */
/**
 * Where the files of the package are, and how they are used.
 * @typedef {object} LoadOptions
 * @property {string | URL} base folder of the model, as `npx sfumato-web copy` writes it
 * @property {string | URL} [ort] folder of ONNX Runtime's files; by default `ort/` in `base`
 * @property {number} [threads] of the processor; by default up to 4. Without isolation from other origins there is one
 * @property {"auto" | "wasm" | "webgpu"} [device] where the generator runs: by default on the graphics processor, if
 *   the browser gives access to one, its files were copied, and it paints a test picture right
 * @property {boolean} [warm] whether all graphs are opened at once, for a quick first painting; by default true
 */
/**
 * What is known of a built-in style.
 * @typedef {object} StyleAbout
 * @property {string} name
 * @property {string} title of the painting
 * @property {string} artist
 * @property {string} [year]
 * @property {string} kind `"work"`: of one painting; `"artist"`: of several
 */
/**
 * A painted picture.
 * @typedef {object} Painting
 * @property {ImageData} image
 * @property {Recipe} recipe how it was made
 */
/**
 * Is called before each step with the share that is done, from 0 to 1.
 * @callback Progress
 * @param {number} share
 * @param {"photo" | "tile" | "enlarge" | "done"} step
 */
/** @typedef {{code: ErrorCode, message: string, values: {}}} Problem */
/** @typedef {{number: number, result?: any, progress?: {share: number, step: any}, problem?: Problem}} Told */
/** @typedef {{resolve: (result: any) => void, reject: (problem: Error) => void, progress?: Progress}} Waiting */

/** Paints photos with the shipped model, in a worker. */
export class Painter {
  /** @type {Map<number, Waiting>} */
  #waiting = new Map();
  #count = 0;
  #worker;
  /** The picture that the worker holds. @type {Source | undefined} */
  #held;
  /** Why the worker does no more. @type {PaintError | undefined} */
  #stopped;

  /**
   * @param {Worker} worker
   * @private
   */
  constructor(worker) {
    this.#worker = worker;
    /** The id of the model. */
    this.model = "";
    /** The version of Sfumato that made the model's files. */
    this.version = "";
    /** Threads of the processor that are used. */
    this.threads = 1;
    /** Where the generator runs; settled once `warm` has opened it. @type {"wasm" | "webgpu"} */
    this.device = "wasm";
    /** The built-in styles. @type {StyleAbout[]} */
    this.styles = [];
    worker.addEventListener("message", ({ data }) => this.#hear(data));
    worker.addEventListener("error", event => {
      event.preventDefault();
      this.#stop(
        new PaintError(
          "model",
          `The painter stopped: ${event.message || "its program cannot be loaded"}. Load the page again.`,
        ),
      );
    });
  }

  /**
   * Load the model. The graphs are opened in the background afterwards.
   * @param {LoadOptions} options
   * @returns {Promise<Painter>}
   * @throws {PaintError} `model`: a file is missing or damaged
   */
  static async load({ base, ort, threads, device, warm = true }) {
    const folder = new URL(base, document.baseURI);
    if (!folder.pathname.endsWith("/")) folder.pathname += "/";
    const painter = new Painter(new Worker(new URL("./worker.js", import.meta.url), { type: "module" }));
    const runtime = ort ? new URL(ort, document.baseURI) : new URL("ort/", folder);
    try {
      Object.assign(
        painter,
        await painter.#ask({ kind: "load", base: folder.href, ort: runtime.href, threads, device }),
      );
    } catch (problem) {
      painter.close();
      throw problem;
    }
    if (warm) {
      for (const graph of ["generator.onnx", "statistics.onnx", "style_encoder.onnx"]) {
        // An error is told by the painting that needs the graph.
        painter.#ask({ kind: "warm", graph }).then(
          found => Object.assign(painter, found),
          () => {},
        );
      }
    }
    return painter;
  }

  /**
   * Paint a photo. The same arguments give the same pixels, those of `sfumato stylize --quality draft` within a level.
   * Requests are carried out one after the other.
   * @param {Source} source
   * @param {PaintOptions} options
   * @param {Progress} [onProgress]
   * @returns {Promise<Painting>}
   * @throws {PaintError} any of its codes
   */
  async paint(source, { style, signal, ...options }, onProgress) {
    if (!isPicture(source)) throw new PaintError("no-picture", "There is no picture; choose one.");
    const known = this.#held === source;
    const request = { kind: "paint", style, options, source: known ? undefined : source };
    const asked = this.#ask(request, { signal, progress: onProgress });
    this.#held = source; // only now: a request that cannot be copied is not sent
    const { data, width, height, recipe } = await asked;
    return { image: new ImageData(data, width, height), recipe };
  }

  /**
   * Make a style of a picture of your own, for `paint`.
   * @param {Source} source
   * @param {string} [name]
   * @returns {Promise<Style>}
   * @throws {PaintError} as `paint`
   */
  async encode(source, name = "own") {
    if (!isPicture(source)) throw new PaintError("no-picture", "There is no picture; choose one.");
    return this.#ask({ kind: "encode", source, name });
  }

  /**
   * Write a painting as a PNG, with its recipe inside.
   * @param {Painting} painting
   * @returns {Promise<Blob>}
   */
  async png({ image, recipe }) {
    return this.#ask({
      kind: "png",
      pixels: { data: image.data, width: image.width, height: image.height },
      recipe,
    });
  }

  /** Stop the worker; what is under way, and what is asked later, is rejected. */
  close() {
    this.#stop(new PaintError("cancelled", "The painter was closed; load another."));
  }

  /**
   * @param {object} request
   * @param {{signal?: AbortSignal, progress?: Progress}} [options]
   * @returns {Promise<any>}
   * @throws {PaintError | DOMException} the worker was stopped, or the request cannot be copied to it
   */
  #ask(request, { signal, progress } = {}) {
    if (this.#stopped) throw this.#stopped;
    const number = ++this.#count;
    this.#worker.postMessage({ number, request });
    return new Promise((resolve, reject) => {
      const cancel = () => this.#worker.postMessage({ kind: "cancel", number });
      const settle = (/** @type {(value: any) => void} */ then) => (/** @type {any} */ value) => {
        signal?.removeEventListener("abort", cancel);
        then(value);
      };
      this.#waiting.set(number, { resolve: settle(resolve), reject: settle(reject), progress });
      if (signal?.aborted) cancel();
      signal?.addEventListener("abort", cancel);
    });
  }

  /** @param {Told} data */
  #hear({ number, result, progress, problem }) {
    const waiting = this.#waiting.get(number);
    if (!waiting) return;
    if (progress) {
      waiting.progress?.(progress.share, progress.step);
      return;
    }
    this.#waiting.delete(number);
    if (problem) waiting.reject(new PaintError(problem.code, problem.message, problem.values));
    else waiting.resolve(result);
  }

  /** @param {PaintError} problem */
  #stop(problem) {
    this.#stopped ??= problem;
    this.#worker.terminate();
    for (const waiting of this.#waiting.values()) waiting.reject(problem);
    this.#waiting.clear();
  }
}

/** @param {unknown} source @returns {source is Source} */
const isPicture = source => source instanceof Blob || source instanceof ImageBitmap || source instanceof ImageData;
