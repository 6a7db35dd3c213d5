// Photos of the painting view: the place to drop them, the strip of those that are open, and the offer of a recipe.

import { html, useEffect, useRef, useStore } from "../lib.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { Button, FileDrop, Icon, IconButton, PICTURES, Progress, toast } from "../ui.js";
import { change, changeSettings, closePhoto, openPhoto, state } from "./state.js";
import { offered, takeIn } from "./intake.js";
import { inWords, settingsOf } from "./recipe.js";
import { Shelf } from "./shelf.js";

/** What is shown before there is a photo. */
export function Welcome({ coming, narrow, settings }) {
  const found = api.useLoaded(signal => api.listPictures({ kind: "photo", limit: 6 }, signal), []);
  const recent = found.value?.items ?? [];
  const [first] = coming;
  const choose = style => changeSettings({ styles: [{ style, weight: 1 }], recipeOf: null });
  return html`
    ${!narrow && html`<aside class="left" aria-label=${t("paint.styles")}>
      <${Shelf} chosen=${settings.styles.map(each => each.style)} onChoose=${choose} /></aside>`}
    <section class="welcome">${first ? html`<${Pending} upload=${first} />` : html`<div class="welcome-inside">
      <${FileDrop} class="welcome-drop" icon="picture" onFiles=${takeIn}
        label=${t(narrow ? "paint.welcome_touch" : "paint.welcome")}
        hint=${t(narrow ? "paint.welcome_hint_touch" : "paint.welcome_hint")}>
        <span class="button primary big" aria-hidden="true">${t("paint.choose_photos")}</span><//>
      ${recent.length > 0 && html`<div><h2 class="label muted">${t("paint.recent")}</h2>
        <ul class="strip">${recent.map(each => html`<li key=${each.id}>
          <button type="button" class="strip-item" onClick=${() => openPhoto(each.id)}>
            <img src=${each.thumb} alt=${t("paint.open_photo", { name: each.title })} /></button></li>`)}</ul></div>`}
    </div>`}</section>`;
}

const Pending = ({ upload }) => html`<div class="pending">
  ${upload.url && html`<img src=${upload.url} alt="" />`}
  <p class="small">${t("paint.uploading_name", { name: upload.name })}</p>
  <${Progress} value=${upload.progress} label=${t("paint.uploading")} /></div>`;

/** The photos that are open, those that are coming, and a button for more. */
export function Strip({ value, coming }) {
  const input = useRef(null);
  return html`<ul class="strip" aria-label=${t("paint.photos")}>
    ${value.photos.map(id => html`<${StripItem} key=${id} id=${id} now=${id === value.photo} />`)}
    ${coming.map(each => html`<li key=${each.url ?? each.name} class="strip-item coming" title=${each.name}>
      ${each.url && html`<img src=${each.url} alt=${each.name} />`}
      <${Progress} value=${each.progress} label=${t("paint.uploading_name", { name: each.name })} /></li>`)}
    <li><button type="button" class="strip-item add" aria-label=${t("paint.add_photos")} title=${t("paint.add_photos")}
        onClick=${() => input.current.click()}><${Icon} name="plus" /></button>
      <input ref=${input} type="file" hidden multiple accept=${PICTURES}
        onChange=${event => { takeIn([...event.target.files]); event.target.value = ""; }} /></li></ul>`;
}

function StripItem({ id, now }) {
  const picture = api.usePicture(id);
  useEffect(() => { if (picture?.gone) closePhoto(id); }, [picture]);
  const name = picture?.title ?? "";
  return html`<li class="strip-place">
    <button type="button" class="strip-item" aria-current=${now ? "true" : null} title=${name}
      aria-label=${t("paint.open_photo", { name })} onClick=${() => openPhoto(id)}>
      ${picture?.thumb && html`<img src=${picture.thumb} alt="" />`}</button>
    <${IconButton} class="strip-close" icon="close" size="14" kind="plain" label=${t("paint.close_photo", { name })}
      onClick=${() => closePhoto(id)} /></li>`;
}

/** A picture with a recipe was dropped: its settings in a sentence, and a button that takes them. */
export function Offer({ styles, photo }) {
  const offer = useStore(offered);
  if (!offer || !styles) return null;
  const { picture, instead } = offer;
  const settings = settingsOf(picture, styles);
  const words = inWords(settings, styles, picture.recipe.styles[0]?.name);
  const use = () => {
    const before = state.get().settings;
    change({ settings });
    offered.set(null);
    toast(t("paint.recipe_taken", { words }), { undo: () => change({ settings: before }) });
  };
  const paint = () => {
    openPhoto(picture.id);
    offered.set(null);
  };
  return html`<div class="offer" role="status"><img src=${picture.thumb} alt="" width="48" height="48" />
    <p class="grow">${t("paint.offer", { words })}</p>
    <${Button} kind="primary" onClick=${use}>${t("paint.offer_use")}<//>
    ${instead && picture.id !== photo.id && html`<${Button} kind="quiet" onClick=${paint}>${t("paint.offer_paint")}<//>`}
    <${IconButton} icon="close" label=${t("ui.dismiss")} onClick=${() => offered.set(null)} /></div>`;
}
