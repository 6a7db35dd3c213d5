// The steps of a job, which the service tells in English, in the reader's language.

import { t } from "./i18n.js";

const STEPS = [
  [/^encoding the photo$/, "encode"], [/^tile (\d+) of (\d+)$/, "tile"], [/^scale (\d+) of (\d+)$/, "scale"],
  [/^refinement (\d+) of (\d+)$/, "refine"], [/^enlarging/, "enlarge"], [/^colours/, "colours"], [/^sharpening/, "sharpen"],
];

function part(text) {
  for (const [pattern, name] of STEPS) {
    const found = pattern.exec(text);
    if (found) return t(`ui.step_${name}`, { n: Number(found[1]), all: Number(found[2]) });
  }
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** What a job does, in words; "" where it tells nothing. */
export const stepOf = job => (job.doing ? job.doing.split(", ").map(part).join(", ") : "");
