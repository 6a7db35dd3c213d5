// The mask brush: where the (first) style paints. The mask is the alpha of a canvas over the picture; it is stored in the
// service as a grey PNG, so that it survives a reload.

import { html, useEffect, useMemo, useRef, useState } from "../lib.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { Button, IconButton, Segmented, Slider, toastError } from "../ui.js";
import { useKeys } from "../keys.js";
import { greyPng } from "./png.js";
import { changeWork } from "./state.js";

const SIDE = 1024; // longer side of the mask: its edges are soft anyway
const MOST_UNDO = 24;
const COLOR = [255, 64, 96];

/** A mask that can be painted on, of a photo. `change()` is told when a stroke has ended. */
class Drawing {
  constructor(canvas, photo, changed) {
    const shrink = Math.min(1, SIDE / Math.max(photo.width, photo.height));
    canvas.width = Math.max(1, Math.round(photo.width * shrink));
    canvas.height = Math.max(1, Math.round(photo.height * shrink));
    this.canvas = canvas;
    this.changed = changed;
    this.pen = canvas.getContext("2d", { willReadFrequently: true });
    this.past = [];
    this.future = [];
  }

  values() {
    const { data } = this.pen.getImageData(0, 0, this.canvas.width, this.canvas.height);
    const found = new Uint8Array(data.length / 4);
    for (let i = 0; i < found.length; i++) found[i] = data[i * 4 + 3];
    return found;
  }

  show(values) {
    const image = this.pen.createImageData(this.canvas.width, this.canvas.height);
    for (let i = 0; i < values.length; i++) {
      image.data.set(COLOR, i * 4);
      image.data[i * 4 + 3] = values[i];
    }
    this.pen.putImageData(image, 0, 0);
  }

  remember() {
    this.past.push(this.values());
    if (this.past.length > MOST_UNDO) this.past.shift();
    this.future = [];
  }

  step(from, to) {
    if (!this[from].length) return;
    this[to].push(this.values());
    this.show(this[from].pop());
    this.changed();
  }

  undo() { this.step("past", "future"); }
  redo() { this.step("future", "past"); }

  edit(f) {
    this.remember();
    this.show(this.values().map(f));
    this.changed();
  }

  stamp(x, y, radius, softness, erase) {
    const paint = this.pen.createRadialGradient(x, y, radius * (1 - softness) * 0.98, x, y, radius);
    const color = COLOR.join(" ");
    // A soft brush builds up over its many stamps, so each is weak at its edge.
    paint.addColorStop(0, `rgb(${color} / ${softness ? 60 : 100}%)`);
    paint.addColorStop(0.5, `rgb(${color} / ${softness ? 22 : 100}%)`);
    paint.addColorStop(1, `rgb(${color} / 0%)`);
    this.pen.globalCompositeOperation = erase ? "destination-out" : "source-over";
    this.pen.fillStyle = paint;
    this.pen.fillRect(x - radius, y - radius, 2 * radius, 2 * radius);
    this.pen.globalCompositeOperation = "source-over";
  }

  begin(point, brush) {
    this.remember();
    this.brush = brush;
    this.last = { x: point.x * this.canvas.width, y: point.y * this.canvas.height };
    this.stamp(this.last.x, this.last.y, brush.radius, brush.softness, brush.erase);
  }

  line(point) {
    const to = { x: point.x * this.canvas.width, y: point.y * this.canvas.height };
    const [dx, dy] = [to.x - this.last.x, to.y - this.last.y];
    const length = Math.hypot(dx, dy);
    const { radius, softness, erase } = this.brush;
    const gap = Math.max(1, radius / 6);
    for (let at = gap; at <= length; at += gap) {
      this.stamp(this.last.x + dx * at / length, this.last.y + dy * at / length, radius, softness, erase);
    }
    const done = Math.floor(length / gap) * gap;
    if (done) this.last = { x: this.last.x + dx * done / length, y: this.last.y + dy * done / length };
  }

  async load(url) {
    const image = new Image();
    image.src = url;
    await image.decode();
    this.pen.drawImage(image, 0, 0, this.canvas.width, this.canvas.height);
    const { data } = this.pen.getImageData(0, 0, this.canvas.width, this.canvas.height);
    this.show(Uint8Array.from({ length: data.length / 4 }, (_, i) => data[i * 4]));
  }
}

/** Stores the rest of a mask, where a second style paints. */
export async function storeRest(photo, maskId) {
  const { file } = await api.picture(maskId);
  const drawing = new Drawing(document.createElement("canvas"), photo, () => {});
  await drawing.load(file);
  const values = drawing.values().map(value => 255 - value);
  const rest = await api.upload(await greyPng(values, drawing.canvas.width, drawing.canvas.height), "mask", { name: "mask.png" });
  changeWork(photo.id, { rest: rest.id, restOf: maskId });
}

/** The mask tool of a photo, for a Pane, and its controls; null values while it is closed. */
export function useMask(photo, maskId, open) {
  const canvas = useRef(null);
  const ring = useRef(null);
  const drawing = useRef(null);
  const saving = useRef(0);
  const own = useRef(maskId); // the mask that this drawing has stored itself
  const [size, setSize] = useState(12);
  const [softness, setSoftness] = useState(60);
  const [erase, setErase] = useState(false);
  const [, redraw] = useState(0);

  const store = async turn => {
    const { current } = drawing;
    const values = current.values();
    try {
      const mask = values.some(value => value > 4)
        ? await api.upload(await greyPng(values, current.canvas.width, current.canvas.height), "mask", { name: "mask.png" }) : null;
      if (turn !== saving.current) return; // it was painted on meanwhile
      own.current = mask?.id ?? null;
      changeWork(photo.id, { mask: own.current });
    } catch (problem) {
      toastError(problem);
    }
  };
  const changed = () => {
    const turn = ++saving.current;
    redraw(turn);
    setTimeout(() => { if (turn === saving.current) store(turn); }, 350);
  };

  useEffect(() => {
    if (!open || !photo || !canvas.current) return;
    drawing.current = new Drawing(canvas.current, photo, changed);
    own.current = maskId ?? null;
    if (maskId) api.picture(maskId).then(found => drawing.current.load(found.file)).catch(toastError);
  }, [open, photo?.id]);

  useKeys(open ? {
    "[": () => setSize(now => Math.max(1, now - 2)), "]": () => setSize(now => Math.min(60, now + 2)),
    e: () => setErase(now => !now), i: () => drawing.current.edit(value => 255 - value),
    "ctrl+z": () => drawing.current.undo(), "ctrl+shift+z": () => drawing.current.redo(), "ctrl+y": () => drawing.current.redo(),
  } : {});

  const tool = useMemo(() => open && photo && {
    down: (point, event) => {
      const { current } = drawing;
      const press = event.pointerType === "pen" ? 0.4 + 0.6 * event.pressure : 1;
      const side = Math.max(current.canvas.width, current.canvas.height);
      current.begin(point, { radius: side * size / 200 * press, softness: softness / 100, erase });
    },
    move: point => drawing.current.line(point),
    up: cancelled => {
      if (cancelled && drawing.current.past.length) drawing.current.show(drawing.current.past.pop());
      else changed();
    },
    hover: (point, longest) => {
      const style = ring.current?.style;
      if (!style) return;
      style.display = point ? "block" : "none";
      if (!point) return;
      const side = size / 100 * longest;
      style.width = style.height = `${side}px`;
      style.transform = `translate(${point.x - side / 2}px, ${point.y - side / 2}px)`;
    },
    children: html`<canvas ref=${canvas} class="mask" role="img" aria-label=${t("paint.mask")} />`,
    cursor: html`<span ref=${ring} class="brush-ring" />`,
  }, [open, photo?.id, size, softness, erase]);

  const bar = open && html`<div class="mask-bar">
    <p class="small muted">${t("paint.mask_hint")}</p>
    <${Segmented} hidden label=${t("paint.mask_tool")} value=${erase ? "erase" : "paint"}
      onChange=${value => setErase(value === "erase")}
      options=${[
        { value: "paint", label: t("paint.mask_paint"), icon: "brush" },
        { value: "erase", label: t("paint.mask_erase"), icon: "eraser" },
      ]} />
    <${Slider} label=${t("paint.mask_size")} value=${size} min=${1} max=${60} unit="%" onInput=${setSize} />
    <${Slider} label=${t("paint.mask_softness")} value=${softness} min=${0} max=${100} step=${5} unit="%"
      onInput=${setSoftness} />
    <div class="row wrap">
      <${IconButton} icon="undo" label=${t("ui.undo")} disabled=${!drawing.current?.past.length}
        onClick=${() => drawing.current.undo()} />
      <${IconButton} icon="redo" label=${t("ui.redo")} disabled=${!drawing.current?.future.length}
        onClick=${() => drawing.current.redo()} />
      <${Button} kind="quiet" icon="invert"
        onClick=${() => drawing.current.edit(value => 255 - value)}>${t("paint.mask_invert")}<//>
      <${Button} kind="quiet" icon="trash" onClick=${() => drawing.current.edit(() => 0)}>${t("paint.mask_clear")}<//>
    </div></div>`;
  return { tool: tool || null, bar };
}
