// How a program in TypeScript uses the package: `npm run check` compiles it against the types that are shipped.

import { PaintError, Painter } from "sfumato-web";
import type { ErrorCode, PaintOptions, Painting, Style } from "sfumato-web";

export async function use(file: File, canvas: HTMLCanvasElement): Promise<Blob> {
  const painter: Painter = await Painter.load({ base: "./sfumato/", device: "wasm", threads: 2 });
  const names: string[] = painter.styles.map(style => style.name);
  const own: Style = await painter.encode(file);
  const options: PaintOptions = { style: own, strength: 0.8, stroke: 1.2, seed: 3, color: "content", maxSize: 1024 };
  const painting: Painting = await painter.paint(file, options, (share, step) => console.log(share.toFixed(2), step));
  canvas.getContext("2d")?.putImageData(painting.image, 0, 0);
  console.log(names, painting.recipe.model_sha256);
  return painter.png(painting);
}

export function told(problem: unknown): ErrorCode | "unknown" {
  return problem instanceof PaintError ? problem.code : "unknown";
}

export async function wrong(painter: Painter, file: File): Promise<void> {
  // @ts-expect-error the style is missing
  await painter.paint(file, { strength: 1 });
  // @ts-expect-error there is no such palette
  await painter.paint(file, { style: "monet", color: "sepia" });
  // @ts-expect-error an address is not a picture
  await painter.paint("photo.jpg", { style: "monet" });
}
