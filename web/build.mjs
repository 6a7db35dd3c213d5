// Builds the model (node build.mjs model [--if-older]), or the static page (node build.mjs site [FOLDER] [--webgpu]; by
// default into out/web).

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { gzipSync } from "node:zlib";
import { HERE, copyModel, copyRuntime } from "./bin/files.mjs";

const ROOT = join(HERE, "..");
const LIMIT = 10_000_000; // bytes of the whole page, as it is served

/** Runs a script of tools/ with Sfumato's Python: $PYTHON, else the one of `make setup`, else that of the system. */
function python(script, ...words) {
  const own = join(ROOT, ".venv", "bin", "python");
  const program = process.env.PYTHON ?? (existsSync(own) ? own : "python3");
  const path = [join(ROOT, "src"), process.env.PYTHONPATH].filter(Boolean).join(":");
  execFileSync(program, [join(HERE, "tools", script), ...words], {
    stdio: "inherit",
    env: { ...process.env, PYTHONPATH: path },
  });
}

/** Whether the model is newer than all that it is made of. */
function modelIsCurrent() {
  const made = join(HERE, "model", "model.json");
  if (!existsSync(made)) return false;
  const assets = join(ROOT, "src", "sfumato", "assets");
  const sources = [join(assets, "weights", "base"), join(assets, "styles"), join(HERE, "tools")].flatMap(folder =>
    readdirSync(folder)
      .filter(name => !name.startsWith("__"))
      .map(name => join(folder, name)),
  );
  return sources.every(path => statSync(path).mtimeMs < statSync(made).mtimeMs);
}

function buildModel() {
  rmSync(join(HERE, "model"), { recursive: true, force: true });
  python("web_model.py", join(HERE, "model"));
  for (const name of ["LICENSE", "NOTICE"]) cpSync(join(ROOT, name), join(HERE, name));
}

/** The paths of all files below a folder, with slashes. */
function filesIn(folder) {
  const found = readdirSync(folder, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile());
  return found
    .map(entry =>
      relative(folder, join(entry.parentPath ?? entry.path, entry.name))
        .split(sep)
        .join("/"),
    )
    .sort();
}

const hash = content => createHash("sha256").update(content).digest("base64");

function buildSite(target, webgpu) {
  if (!modelIsCurrent()) buildModel();
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  cpSync(join(HERE, "site"), target, { recursive: true });
  cpSync(join(HERE, "src"), join(target, "src"), { recursive: true });
  // What the page has in common with Studio's: the framework, small stores, icons, and the looks of controls.
  for (const name of ["vendor", "lib.js", "i18n.js", "icons.js", "style.css"]) {
    cpSync(join(ROOT, "src", "sfumato", "studio", "pages", name), join(target, "shared", name), {
      recursive: true,
    });
  }
  copyModel(join(target, "model"));
  copyRuntime(join(target, "model", "ort"), { webgpu });
  python("samples.py", join(target, "samples"));

  // The service worker holds the hash of each file: it changes with them, and refuses a damaged download.
  const paths = filesIn(target).filter(path => path !== "sw.js" && !path.includes(".jspi."));
  const files = Object.fromEntries(paths.map(path => [path, hash(readFileSync(join(target, path)))]));
  const program = readFileSync(join(target, "sw.js"), "utf8");
  const list = JSON.stringify(files, null, 1);
  const told = program
    .replace("const FILES = {};", `const FILES = ${list};`)
    .replace('const BUILD = "";', `const BUILD = "${hash(list)}";`);
  if (!told.includes(list) || told.includes('BUILD = ""')) throw new Error("site/sw.js has no line for the files");
  writeFileSync(join(target, "sw.js"), told);

  let [raw, packed] = [0, 0];
  for (const path of filesIn(target)) {
    raw += statSync(join(target, path)).size;
    packed += gzipSync(readFileSync(join(target, path)), { level: 9 }).length;
  }
  const size = count => `${(count / 1e6).toFixed(2)} MB`;
  console.log(`${target}: ${size(raw)}, ${size(packed)} where the server compresses`);
  if (raw > LIMIT && !webgpu) throw new Error(`the page has ${size(raw)}, more than ${size(LIMIT)}`);
}

const [what, ...others] = process.argv.slice(2);
if (what === "model") {
  if (!others.includes("--if-older") || !modelIsCurrent()) buildModel();
} else if (what === "site") {
  const folder = others.find(each => !each.startsWith("-"));
  buildSite(folder ? resolve(folder) : join(dirname(HERE), "out", "web"), others.includes("--webgpu"));
} else {
  console.error("node build.mjs model [--if-older] | site [FOLDER] [--webgpu]");
  process.exit(2);
}
