// The choices: a style, and how it is painted.

import { Icon } from "../shared/icons.js";
import { html, useEffect, useRef, useState, useStore } from "../shared/lib.js";
import { has, number, percent, t, useLanguage } from "../shared/i18n.js";
import { addStyle, change, choose } from "./engine.js";
import { FileButton, sizeOf } from "./stage.js";
import { chosen, ownStyles, painterState, painting, photo, settings, styles } from "./state.js";

const SIZES = [1024, 1536, 2560, 0];
const COLORS = ["style", "content", "luminance"];

/** What a style is called, and what it is of: in the reader's language where there is a text. */
function named(style) {
  if (style.code) return { name: style.name, of: t("styles.own") };
  const known = style.kind === "artist" ? style.artist : style.title;
  const name = has(`style.${style.name}`) ? t(`style.${style.name}`) : known;
  const artist = has(`artist.${style.artist}`) ? t(`artist.${style.artist}`) : style.artist;
  return { name, of: style.kind === "artist" ? t("styles.several") : artist };
}

function Style({ style, current }) {
  const { name, of } = named(style);
  return html`<li>
    <button type="button" class=${current ? "tile chosen" : "tile"} aria-pressed=${current}
      onClick=${() => choose(style.name)}>
      <img src=${style.url ?? `./model/styles/${style.name}.webp`} alt="" width="128" height="128" />
      <span class="tile-name">${name}</span>
      <span class="tile-sub">${of}</span>
    </button>
  </li>`;
}

function Group({ title, list, current, children }) {
  return html`<section aria-label=${title}>
    <h2 class="group">${title}</h2>
    <ul class="tiles">${children}${list.map(style => html`<${Style} key=${style.name} style=${style}
      current=${style.name === current} />`)}</ul>
  </section>`;
}

export function Styles() {
  useLanguage();
  const list = useStore(styles);
  const own = useStore(ownStyles);
  const current = useStore(chosen);
  const ready = useStore(painterState) === "ready";
  const works = list.filter(style => style.kind !== "artist");
  const artists = list.filter(style => style.kind === "artist");
  const shelf = useRef();
  useEffect(() => { // on a phone the page scrolls, and stays where it is
    const tile = shelf.current.querySelector(".chosen");
    if (tile && shelf.current.scrollHeight > shelf.current.clientHeight) tile.scrollIntoView({ block: "center" });
  }, [list.length]);
  return html`<div ref=${shelf} class="styles" tabindex="0" role="group" aria-label=${t("styles.title")}>
    <${Group} title=${t("styles.works")} list=${[...own, ...works]} current=${current}>
      <li>
        <${FileButton} class="tile add" disabled=${!ready} onFile=${addStyle}>
          <span class="no-picture"><${Icon} name="plus" size=${28} /></span>
          <span class="tile-name">${t("styles.add")}</span>
          <span class="tile-sub">${t("styles.add.hint")}</span>
        <//>
      </li>
    <//>
    ${artists.length > 0 && html`<${Group} title=${t("styles.artists")} list=${artists} current=${current} />`}
  </div>`;
}

/** A slider that is followed on release: a painting takes a second. */
function Slider({ id, name, min, max, step, value, shown, onValue }) {
  const [here, setHere] = useState(value);
  const input = useRef();
  useEffect(() => setHere(value), [value]);
  useEffect(() => input.current.style.setProperty("--fill", `${((here - min) / (max - min)) * 100}%`));
  return html`<div class="slider">
    <label class="name" for=${id}>${name}</label>
    <output class="value number" for=${id}>${shown(here)}</output>
    <input ref=${input} id=${id} type="range" min=${min} max=${max} step=${step} value=${here}
      aria-valuetext=${shown(here)}
      onInput=${event => setHere(Number(event.target.value))}
        onChange=${event => onValue(Number(event.target.value))} />
  </div>`;
}

export function Settings() {
  useLanguage();
  const now = useStore(settings);
  const source = useStore(photo);
  const painted = useStore(painting);
  return html`<div class="settings">
    <${Slider} id="strength" name=${t("set.strength")} min=${0} max=${1} step=${0.05} value=${now.strength}
      shown=${percent}
      onValue=${strength => change({ strength })} />
    <${Slider} id="stroke" name=${t("set.stroke")} min=${0.5} max=${2} step=${0.1} value=${now.stroke}
      shown=${value => `${number(value, { minimumFractionDigits: 1, maximumFractionDigits: 1 })} ×`}
        onValue=${stroke => change({ stroke })} />
    <div class="pair">
      <div class="field">
        <label for="color">${t("set.color")}</label>
        <select id="color" class="input" onChange=${event => change({ color: event.target.value })}>
          ${COLORS.map(color => html`<option key=${color} value=${color}
            selected=${color === now.color}>${t(`color.${color}`)}</option>`)}
        </select>
      </div>
      <div class="field">
        <label for="size">${t("set.size")}</label>
        <select id="size" class="input" onChange=${event => change({ maxSize: Number(event.target.value) })}>
          ${SIZES.map(size => html`<option key=${size} value=${size}
            selected=${size === now.maxSize}>${size ? t("size.most", { n: size }) : t("size.whole")}</option>`)}
        </select>
      </div>
    </div>
    ${source && html`<p class="muted small number">${painted
      ? t("set.painted", { photo: sizeOf(source), size: sizeOf(painted.image) })
      : t("set.photo", { photo: sizeOf(source) })}</p>`}
  </div>`;
}
