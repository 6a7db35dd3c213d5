#!/usr/bin/env node
// npx sfumato-web copy FOLDER [--webgpu]: writes the files that a page needs, for Painter.load({ base: FOLDER }).

import { join } from "node:path";
import { copyModel, copyRuntime } from "./files.mjs";

const [command, folder, ...others] = process.argv.slice(2);
if (command !== "copy" || !folder || folder.startsWith("-") || others.some(each => each !== "--webgpu")) {
  console.error("sfumato-web copy FOLDER [--webgpu]   writes the model and ONNX Runtime into a folder of your page");
  process.exit(2);
}
try {
  copyModel(folder);
  copyRuntime(join(folder, "ort"), { webgpu: others.length > 0 });
} catch (problem) {
  console.error(`error: ${problem.message}`);
  process.exit(4);
}
