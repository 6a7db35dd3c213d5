/**
 * The networks of the model: ONNX Runtime sessions, and the graphs as functions.
 *
 * @module
 */

import { PaintError } from "./errors.js";

/** @typedef {import("./resample.js").Planes} Planes */
/** @typedef {import("onnxruntime-common").InferenceSession} Session */
/** @typedef {import("onnxruntime-common")} Runtime */

/**
 * The content of `model.json`.
 * @typedef {object} Card
 * @property {string} model the id of the model
 * @property {string} version of Sfumato that wrote it
 * @property {string} digest of the model's graphs in Python, for recipes
 * @property {number} thumbnail short side of a thumbnail in pixels
 * @property {number} code_size
 * @property {number} norm_params
 * @property {[number, number]} palette first and last place of the palette in a code
 * @property {Record<string, string>} files SHA-256 of each file, in hex
 * @property {{name: string, title: string, artist: string, year?: string, kind: string, code: string}[]} styles
 */

const WEIGHTS = "weights.bin";
/** Largest difference of a pixel, in [0, 1], with which a graphics processor counts as right. */
const CLOSE = 1.5 / 255;

/**
 * Read a file of the model; it is checked against its hash where the page may compute one.
 * @param {URL} url
 * @param {string} [sha256]
 */
export async function read(url, sha256) {
  const name = url.pathname.split("/").pop();
  let content;
  try {
    const answer = await fetch(url);
    if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
    content = new Uint8Array(await answer.arrayBuffer());
  } catch (problem) {
    const why = problem instanceof Error ? problem.message : String(problem);
    throw new PaintError("model", `The file ${name} of the model cannot be loaded: ${why}. Load the page again.`, {
      name: name ?? "",
    });
  }
  if (sha256 && globalThis.crypto?.subtle) {
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
    const found = Array.from(hash, byte => byte.toString(16).padStart(2, "0")).join("");
    if (found !== sha256) {
      throw new PaintError("model", `The file ${name} of the model is damaged. Load the page again.`, {
        name: name ?? "",
      });
    }
  }
  return content;
}

/** Read a file that lies there compressed with gzip. @param {URL} url */
async function readPacked(url) {
  const packed = await read(url);
  if (packed[0] !== 0x1f || packed[1] !== 0x8b) return packed; // the server has unpacked it
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Whether there is a graphics processor, and the build of ONNX Runtime that uses it. @param {URL} ort */
async function hasGraphics(ort) {
  const { gpu } = /** @type {{gpu?: {requestAdapter: () => Promise<object | null>}}} */ (navigator);
  if (!gpu || !("Suspending" in WebAssembly) || !(await gpu.requestAdapter().catch(() => null))) return false;
  const builds = JSON.parse(new TextDecoder().decode(await read(new URL("builds.json", ort))));
  return builds.includes("webgpu");
}

/** Opens the graphs of a model when they are first needed, and runs them. */
export class Networks {
  /** @type {Map<string, Promise<Session>>} */
  #sessions = new Map();

  /**
   * @param {URL} base folder of the model
   * @param {Card} card
   * @param {Runtime} runtime
   * @param {Uint8Array} weights
   * @param {"wasm" | "webgpu"} device of the generator
   */
  constructor(base, card, runtime, weights, device) {
    this.base = base;
    this.card = card;
    this.runtime = runtime;
    this.weights = weights;
    this.device = device;
  }

  /**
   * Load ONNX Runtime and the weights.
   * @param {URL} base folder of the model
   * @param {URL} ort folder of ONNX Runtime's files
   * @param {{threads?: number, device?: "auto" | "wasm" | "webgpu"}} options
   */
  static async load(base, ort, { threads, device = "auto" }) {
    const card = /** @type {Card} */ (JSON.parse(new TextDecoder().decode(await read(new URL("model.json", base)))));
    const graphics = device !== "wasm" && (await hasGraphics(ort));
    if (device === "webgpu" && !graphics) {
      throw new PaintError(
        "model",
        "This browser gives no access to a graphics processor (WebGPU); leave the device out.",
      );
    }
    const build = graphics ? "webgpu" : "wasm";
    const binary = `ort-wasm-simd-threaded${graphics ? ".jspi" : ""}.wasm.gzip`;
    const [runtime, wasm, weights] = await Promise.all([
      import(
        /* @vite-ignore */ /* webpackIgnore: true */ new URL(`ort.${graphics ? "jspi" : "wasm"}.min.mjs`, ort).href
      ),
      readPacked(new URL(binary, ort)),
      read(new URL(WEIGHTS, base), card.files[WEIGHTS]),
    ]);
    const { env } = /** @type {Runtime} */ (runtime);
    env.logLevel = "error";
    env.wasm.wasmBinary = /** @type {ArrayBuffer} */ (wasm.buffer);
    env.wasm.wasmPaths = ort.href;
    // Threads need shared memory, which a browser gives only to pages that are isolated from other origins.
    env.wasm.numThreads = globalThis.crossOriginIsolated
      ? (threads ?? Math.min(4, navigator.hardwareConcurrency || 1))
      : 1;
    return new Networks(base, card, runtime, weights, build);
  }

  /** Threads of the processor that a graph uses. */
  get threads() {
    return this.runtime.env.wasm.numThreads ?? 1;
  }

  /**
   * Open a graph, once.
   * @param {string} name
   * @returns {Promise<Session>}
   */
  open(name) {
    let session = this.#sessions.get(name);
    if (!session) {
      session = this.#open(name, name === "generator.onnx" ? this.device : "wasm");
      session.catch(() => this.#sessions.delete(name));
      this.#sessions.set(name, session);
    }
    return session;
  }

  /**
   * @param {string} name
   * @param {"wasm" | "webgpu"} device
   */
  async #open(name, device) {
    const graph = await read(new URL(name, this.base), this.card.files[name]);
    try {
      const session = await this.#create(graph, device);
      if (device === "wasm" || (await this.#isRight(session, graph))) return session;
      await session.release();
    } catch (problem) {
      if (device === "wasm") throw broken(problem);
    }
    this.device = "wasm"; // the graphics processor fails, or computes something else
    return this.#create(graph, "wasm");
  }

  /**
   * @param {Uint8Array} graph
   * @param {"wasm" | "webgpu"} device
   */
  #create(graph, device) {
    return this.runtime.InferenceSession.create(graph, {
      executionProviders: [device],
      externalData: [{ path: WEIGHTS, data: this.weights }],
      graphOptimizationLevel: "all",
      logSeverityLevel: 3, // errors are thrown, and some of the nodes belong to the processor
      enableCpuMemArena: false, // it would hold the memory of the largest tile
    });
  }

  /**
   * Whether a graphics processor paints a small picture as the processor does.
   * @param {Session} session
   * @param {Uint8Array} graph
   */
  async #isRight(session, graph) {
    const side = 64;
    const values = Float32Array.from(
      { length: 3 * side * side },
      (_, i) => 0.5 + 0.4 * Math.sin(i * 0.37) * Math.cos(i * 0.011),
    );
    const picture = { values, planes: 3, height: side, width: side };
    const code = /** @type {Float32Array} */ (await this.encode(picture));
    const params = await this.measure(picture, code);
    const plain = await this.#create(graph, "wasm");
    const [found, wanted] = [
      await this.#decode(session, picture, params, [0, 0]),
      await this.#decode(plain, picture, params, [0, 0]),
    ];
    await plain.release();
    return found.values.every((value, i) => Math.abs(value - wanted.values[i]) < CLOSE);
  }

  /**
   * The normalisation parameters with which the generator paints a picture.
   * @param {Planes} small its thumbnail
   * @param {Float32Array} code
   */
  async measure(small, code) {
    const session = await this.open("statistics.onnx");
    const inputs = {
      thumbnail: this.#tensor(small),
      code: new this.runtime.Tensor("float32", code, [1, code.length]),
    };
    return /** @type {Float32Array} */ (await this.#run(session, inputs, "norm_params"));
  }

  /**
   * The style code of a picture.
   * @param {Planes} small its thumbnail
   */
  async encode(small) {
    const session = await this.open("style_encoder.onnx");
    return (await this.#run(session, { picture: this.#tensor(small) }, "code")).slice();
  }

  /**
   * Paint a picture or tile.
   * @param {Planes} picture
   * @param {Float32Array} params
   * @param {number[]} origin row and column of the tile in its picture
   */
  async decode(picture, params, origin) {
    return this.#decode(await this.open("generator.onnx"), picture, params, origin);
  }

  /**
   * @param {Session} session
   * @param {Planes} picture
   * @param {Float32Array} params
   * @param {number[]} origin
   * @returns {Promise<Planes>}
   */
  async #decode(session, picture, params, origin) {
    const inputs = {
      picture: this.#tensor(picture),
      norm_params: new this.runtime.Tensor("float32", params, [1, params.length]),
      origin: new this.runtime.Tensor("int64", BigInt64Array.from(origin, BigInt), [2]),
    };
    return { ...picture, values: await this.#run(session, inputs, "stylized") };
  }

  /** @param {Planes} x */
  #tensor({ values, planes, height, width }) {
    return new this.runtime.Tensor("float32", values, [1, planes, height, width]);
  }

  /**
   * @param {Session} session
   * @param {Record<string, import("onnxruntime-common").Tensor>} inputs
   * @param {string} output
   */
  async #run(session, inputs, output) {
    try {
      const found = await session.run(inputs, [output]);
      return /** @type {Float32Array} */ (found[output].data);
    } catch (problem) {
      throw broken(problem);
    }
  }
}

/** The error of a graph that cannot be opened or run. @param {unknown} problem */
function broken(problem) {
  if (problem instanceof PaintError) return problem;
  const why = problem instanceof Error ? problem.message : String(problem);
  if (/memory|alloc|out of bounds|ArrayBuffer/i.test(why)) {
    return new PaintError("memory", "The memory of this device does not suffice; choose a smaller size.");
  }
  return new PaintError("model", `The model cannot be run: ${why.split("\n")[0].slice(0, 200)}. Load the page again.`);
}
