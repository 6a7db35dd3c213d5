// The files that a page needs beside its own: the model, and ONNX Runtime's.

import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

/** Folder of the package. */
export const HERE = join(dirname(fileURLToPath(import.meta.url)), "..");

/**
 * Copies ONNX Runtime's files into a folder. Its program lies there compressed, and is unpacked in the browser: so it
 * is small on any server. (Servers may unpack `.gz` themselves, not `.gzip`.) The build for WebGPU is 4 MB more.
 */
export function copyRuntime(target, { webgpu = false } = {}) {
  const from = dirname(createRequire(import.meta.url).resolve("onnxruntime-web"));
  mkdirSync(target, { recursive: true });
  const builds = webgpu ? ["wasm", "webgpu"] : ["wasm"];
  for (const [script, name] of [
    ["wasm", "ort-wasm-simd-threaded"],
    ["jspi", "ort-wasm-simd-threaded.jspi"],
  ].slice(0, builds.length)) {
    cpSync(join(from, `ort.${script}.min.mjs`), join(target, `ort.${script}.min.mjs`));
    cpSync(join(from, `${name}.mjs`), join(target, `${name}.mjs`));
    writeFileSync(join(target, `${name}.wasm.gzip`), gzipSync(readFileSync(join(from, `${name}.wasm`)), { level: 9 }));
  }
  writeFileSync(join(target, "builds.json"), JSON.stringify(builds));
}

/** Copies the model of the package into a folder. */
export function copyModel(target) {
  const from = join(HERE, "model");
  if (!existsSync(join(from, "model.json"))) throw new Error(`${from} is missing: npm run model makes it`);
  cpSync(from, target, { recursive: true });
}
