// The settings: chosen styles, strength, stroke, colour, mask, quality, finishing, and the button that paints.

import { html, useState } from "../lib.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { Button, Field, Icon, IconButton, Segmented, Select, Slider } from "../ui.js";
import { NO_FINISH, changeSettings } from "./state.js";
import { styleOf, titleOf } from "./recipe.js";
import { StylePicture, subtitleOf } from "./shelf.js";

const MOST_STYLES = 4;

/** The chosen styles; `active` is the place that the shelf fills. */
export function Chosen({ settings, active, setActive, masked, onPick }) {
  const styles = api.useStyles();
  const from = api.usePicture(settings.recipeOf);
  const set = all => changeSettings({ styles: all, recipeOf: null });
  if (settings.recipeOf) {
    return html`<div class="picked"><div class="chip"><span class="chip-main">
      ${from?.thumb && html`<img src=${from.thumb} alt="" width="40" height="40" />`}
      <span class="grow"><span class="ellipsis">${t("paint.as_picture", { name: from?.title || t("paint.a_picture") })}</span>
      <span class="small muted">${t("paint.as_picture_hint")}</span></span></span>
      <${IconButton} icon="close" size="18" label=${t("paint.style_remove")} onClick=${() => set([])} /></div></div>`;
  }
  const setWeight = (place, weight) => set(settings.styles.map((each, other) => other === place ? { ...each, weight } : each));
  const several = settings.styles.length > 1;
  const most = masked ? 2 : MOST_STYLES;
  const under = style => {
    if (onPick) return t("paint.style_change");
    return style ? subtitleOf(style) : "";
  };
  return html`<div class="picked">
    ${settings.styles.map((each, place) => {
      const style = styleOf(styles, each.style);
      const role = masked && several ? t(place ? "paint.style_outside" : "paint.style_inside") : null;
      return html`<div key=${place} class="chip ${several && place === active ? "active" : ""}">
        <button type="button" class="chip-main" aria-pressed=${several ? String(place === active) : null}
          onClick=${() => { setActive(place); onPick?.(); }}>
          <${StylePicture} style=${style} /><span class="grow"><span class="ellipsis">${titleOf(style)}</span>
          <span class="small muted ellipsis">${role ?? under(style)}</span></span></button>
        ${(several || !onPick) && html`<${IconButton} icon="close" size="18"
          label=${t("paint.style_remove_of", { name: titleOf(style) })}
          onClick=${() => { set(settings.styles.filter((_, other) => other !== place)); setActive(0); }} />`}
        ${several && !masked && html`<div class="chip-weight"><${Slider} label=${t("paint.weight")}
          value=${Math.round(each.weight * 100)} min=${5} max=${100} step=${5}
          unit="%" onInput=${value => setWeight(place, value / 100)} /></div>`}
      </div>`;
    })}
    ${!settings.styles.length && onPick && html`<${Button} icon="palette" onClick=${onPick}>${t("paint.style_choose")}<//>`}
    ${settings.styles.length > 0 && settings.styles.length < most && html`<${Button} kind="quiet" icon="plus"
      onClick=${() => {
      setActive(settings.styles.length);
      onPick?.();
    }}>${active >= settings.styles.length ? t("paint.style_pick_next") : t("paint.style_add")}<//>`}
  </div>`;
}

/** Strength, stroke, colour. */
export function Look({ settings }) {
  const fixed = Boolean(settings.recipeOf);
  return html`<div class="stack tight">
    <${Slider} label=${t("paint.strength")} value=${settings.strength} min=${0} max=${100} unit="%" reset=${100}
      disabled=${fixed}
      onInput=${strength => changeSettings({ strength })} />
    <${Slider} label=${t("paint.stroke")} value=${settings.stroke} min=${0.5} max=${2} step=${0.05} unit="×" reset=${1}
      disabled=${fixed}
      onInput=${stroke => changeSettings({ stroke })} />
    <${Segmented} label=${t("paint.color")} value=${settings.color} onChange=${color => changeSettings({ color })}
      options=${["style", "content", "luminance"].map(value => ({
        value, label: t(`paint.color_${value}`), hint: t(`paint.color_${value}_hint`), disabled: fixed,
      }))} />
  </div>`;
}

/** Brightness to twice the size. `apply` is given where a painting can be finished without painting it again. */
export function FinishControls({ settings, apply, busy }) {
  const { finish } = settings;
  const set = changes => changeSettings({ finish: { ...finish, ...changes } });
  const changed = Object.keys(NO_FINISH).some(name => finish[name] !== NO_FINISH[name]);
  return html`<details class="more" open=${changed}><summary><${Icon} name="right" size="16" />${t("paint.finish")}
    ${changed && html`<span class="dot"><span class="hidden-text">${t("paint.changed")}</span></span>`}</summary>
    <div class="stack tight">
      ${["brightness", "contrast", "saturation", "warmth"].map(name => html`<${Slider} key=${name}
        label=${t(`paint.${name}`)} value=${finish[name]}
        min=${-100} max=${100} reset=${0} onInput=${value => set({ [name]: value })} />`)}
      <${Slider} label=${t("paint.sharpen")} value=${finish.sharpen} min=${0} max=${200} reset=${0}
        onInput=${sharpen => set({ sharpen })} />
      <${Segmented} label=${t("paint.size_after")} value=${finish.upscale} onChange=${upscale => set({ upscale })}
        options=${[{ value: 1, label: t("paint.size_same") }, { value: 2, label: t("paint.size_double") }]} />
      ${apply && html`<p class="small muted">${t("paint.finish_hint")}</p>
        <${Button} kind="primary" busy=${busy} onClick=${apply}>${t("paint.finish_apply")}<//>`}
      ${changed && html`<${Button} kind="quiet" icon="restore"
        onClick=${() => set(NO_FINISH)}>${t("paint.finish_reset")}<//>`}
    </div></details>`;
}

/** Seed, size and the number of paintings to choose from. */
export function Details({ settings }) {
  const [typed, setTyped] = useState(null);
  const sizes = [0, 1024, 2048, 3072, 4096, 6144];
  return html`<details class="more"><summary><${Icon} name="right" size="16" />${t("paint.details")}</summary>
    <div class="stack tight">
    <div class="row end-aligned"><div class="grow"><${Field} label=${t("paint.seed")} inputmode="numeric"
      value=${typed ?? settings.seed}
      onInput=${event => setTyped(event.target.value)} onBlur=${() => {
        const seed = Number(typed);
        if (typed !== null && Number.isInteger(seed) && seed >= 0 && seed <= 2 ** 53) changeSettings({ seed });
        setTyped(null);
      }} /></div>
      <${Button} icon="refresh" onClick=${() => changeSettings({ seed: 1 + Math.floor(Math.random() * 1e6) })}>
        ${t("paint.seed_other")}<//></div>
    <${Select} label=${t("paint.size")} value=${String(settings.maxSize)}
      onChange=${value => changeSettings({ maxSize: Number(value) })}
      options=${[...new Set([...sizes, settings.maxSize])].map(each => ({
        value: String(each), label: each ? t("paint.size_pixels", { n: each }) : t("paint.size_whole"),
      }))} />
    <${Select} label=${t("paint.best_of")} value=${String(settings.bestOf)}
      onChange=${value => changeSettings({ bestOf: Number(value) })}
      options=${[1, 2, 3, 5].map(each => ({
        value: String(each), label: each === 1 ? t("paint.best_of_one") : t("paint.best_of_n", { n: each }),
      }))} />
  </div></details>`;
}

/** Draft, standard or best. */
export const QualityChoice = ({ settings }) => html`<div><${Segmented} label=${t("paint.quality")} value=${settings.quality}
  onChange=${quality => changeSettings({ quality })} options=${["draft", "standard", "best"].map(value => ({
    value, label: t(`paint.quality_${value}`), disabled: Boolean(settings.recipeOf),
  }))} /><p class="small muted quality-hint">${t(`paint.quality_${settings.quality}_hint`)}</p></div>`;
