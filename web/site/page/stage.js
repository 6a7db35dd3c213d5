// The picture: a place to drop a photo, then the photo and its painting.

import { Icon } from "../shared/icons.js";
import { html, useEffect, useRef, useState, useStore } from "../shared/lib.js";
import { number, percent, t, useLanguage } from "../shared/i18n.js";
import { cancel, openPhoto, openSample, save } from "./engine.js";
import { painterState, painting, photo, progress, view } from "./state.js";

export const PICTURES = "image/*";
const SAMPLES = ["room", "portrait", "ship"];
const VIEWS = ["painting", "compare", "photo"];

/** A button that opens the dialog for files. */
export function FileButton({ onFile, children, ...rest }) {
  const input = useRef();
  const take = event => {
    const [file] = event.target.files;
    event.target.value = ""; // the same file may be chosen again
    if (file) onFile(file);
  };
  return html`<button type="button" ...${rest} onClick=${() => input.current.click()}>${children}</button>
    <input ref=${input} type="file" accept=${PICTURES} hidden onChange=${take} />`;
}

export function Welcome() {
  useLanguage();
  return html`<div class="welcome">
    <div class="welcome-inside">
      <h1>${t("welcome.title")}</h1>
      <${FileButton} class="drop" onFile=${openPhoto}>
        <${Icon} name="picture" size=${36} />
        <strong>${t("welcome.drop")}</strong>
        <span>${t("welcome.or")}</span>
      <//>
      <div class="stack tight">
        <h2 class="small muted" id="samples">${t("welcome.samples")}</h2>
        <ul class="samples" aria-labelledby="samples">
          ${SAMPLES.map(name => html`<li key=${name}>
            <button type="button" class="sample" onClick=${() => openSample(name)}>
              <img src=${`./samples/${name}.webp`} alt="" width="160" height="120" />
              <span>${t(`sample.${name}`)}</span>
            </button>
          </li>`)}
        </ul>
      </div>
      <p class="muted small promise"><${Icon} name="check" size=${18} />${t("welcome.promise")}</p>
    </div>
  </div>`;
}

/** Draws pixels on a canvas. */
function Pixels({ image, label }) {
  const canvas = useRef();
  useEffect(() => canvas.current.getContext("2d").putImageData(image, 0, 0), [image]);
  return html`<canvas ref=${canvas} width=${image.width} height=${image.height} role="img"
    aria-label=${label}></canvas>`;
}

export function Stage() {
  useLanguage();
  const source = useStore(photo);
  const painted = useStore(painting);
  const ready = useStore(painterState) === "ready";
  const how = useStore(view);
  const [split, setSplit] = useState(50);
  const frame = useRef();
  const shown = painted ? how : "photo";
  // Written here and not in the template: the page's policy forbids style attributes, but not their properties.
  useEffect(() => {
    frame.current.style.setProperty("--split", `${shown === "compare" ? split : shown === "photo" ? 100 : 0}%`);
    frame.current.style.setProperty("--shape", String(source.width / source.height));
  });
  const drag = event => {
    if (shown !== "compare" || (event.type === "pointermove" && !event.buttons)) return;
    if (event.type === "pointerdown") event.currentTarget.setPointerCapture(event.pointerId);
    const box = event.currentTarget.getBoundingClientRect();
    setSplit(Math.round(Math.min(100, Math.max(0, ((event.clientX - box.left) / box.width) * 100))));
  };
  return html`<div class="stage">
    <div class="room">
      <div ref=${frame} class=${`frame-of-picture ${shown}`} onPointerDown=${drag} onPointerMove=${drag}>
        <img class="photo" src=${source.url} alt=${t("stage.photo", { name: source.name })} />
        ${painted && html`<div class="painted"><${Pixels} image=${painted.image}
          label=${t("stage.painting", { name: source.name })} /></div>`}
        ${shown === "compare" && html`<div class="split"
          aria-hidden="true"><span><${Icon} name="left" size=${18} /><${Icon} name="right" size=${18} /></span></div>
          <input class="split-input" type="range" min="0" max="100" value=${split} aria-label=${t("stage.split")}
            onInput=${event => setSplit(Number(event.target.value))} />`}
      </div>
      <${Working} />
    </div>
    <div class="stage-tools">
      <div class="segmented" role="radiogroup" aria-label=${t("stage.view")}>
        ${VIEWS.map(name => html`<label key=${name}>
          <input type="radio" name="view" checked=${shown === name} disabled=${!painted}
            onChange=${() => view.set(name)} />
          ${t(`view.${name}`)}
        </label>`)}
      </div>
      <div class="row tools-end">
        <${FileButton} class="button quiet" aria-label=${t("stage.other")}
          onFile=${openPhoto}><${Icon} name="picture" /><span class="tool-text">${t("stage.other")}</span><//>
        <button type="button" class="button" disabled=${!painted} onClick=${() => save("jpeg")}>JPEG</button>
        <button type="button" class="button primary" disabled=${!painted || !ready}
          onClick=${() => save("png")}><${Icon} name="download" />${t("stage.save")}</button>
      </div>
    </div>
  </div>`;
}

/** What is under way, with a way to stop it. */
function Working() {
  const share = useStore(progress);
  const state = useStore(painterState);
  const bar = useRef();
  const starting = state === "starting";
  useEffect(() => bar.current?.style.setProperty("transform", `scaleX(${Math.max(0.03, share ?? 0)})`));
  if (!starting && share === null) return html`<p class="hidden-text" role="status"></p>`;
  return html`<div class="working">
    <p role="status">${starting ? t("working.starting") : t("working.painting")}</p>
    ${!starting && html`<div class="progress" role="progressbar" aria-label=${t("working.painting")}
      aria-valuemin="0" aria-valuemax="100"
      aria-valuenow=${Math.round(share * 100)} aria-valuetext=${percent(share)}><span ref=${bar}></span></div>
    <button type="button" class="button quiet"
      onClick=${cancel}><${Icon} name="stop" size=${16} />${t("working.stop")}</button>`}
  </div>`;
}

/** The size of a picture, as "1,536 × 1,024". */
export const sizeOf = ({ width, height }) => `${number(width)} × ${number(height)}`;
