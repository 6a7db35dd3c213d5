// The form of a batch: photos, a style, settings, and the button that paints them all.

import { html, useEffect, useRef, useState, useStore } from "../lib.js";
import * as api from "../api.js";
import { percent, t } from "../i18n.js";
import {
  Button, FileDrop, Icon, IconButton, Menu, PICTURES, Progress, Segmented, Slider, filesOf, sentence, toastError,
} from "../ui.js";
import { StyleChoice } from "../paint/shelf.js";
import { styleOf } from "../paint/recipe.js";
import { GalleryDialog } from "../taste/rated.js";
import { go } from "../views/parts.js";
import { again, changeSettings, clear, leftOut, photos, settings, start, takeIn, takeOut } from "./state.js";

/** Takes in what is dropped anywhere on the page while the form is open. */
function useDrops(setOver) {
  useEffect(() => {
    let depth = 0;
    const has = event => [...event.dataTransfer?.types ?? []].includes("Files");
    const enter = event => { if (has(event)) { depth++; setOver(true); } };
    const leave = event => { if (has(event) && --depth <= 0) { depth = 0; setOver(false); } };
    const end = () => { depth = 0; setOver(false); };
    const drop = async event => { if (has(event)) takeIn(await filesOf(event.dataTransfer)); };
    const all = { dragenter: enter, dragleave: leave, drop };
    for (const [kind, run] of Object.entries(all)) addEventListener(kind, run);
    document.addEventListener("drop", end, true); // a place within the page may stop the event
    return () => {
      for (const [kind, run] of Object.entries(all)) removeEventListener(kind, run);
      document.removeEventListener("drop", end, true);
    };
  }, []);
}

export function Form({ children }) {
  const [over, setOver] = useState(false);
  useDrops(setOver);
  const all = useStore(photos);
  return html`<section class="page batch-form ${over ? "over" : ""}" aria-labelledby="batch-title">
    <h1 id="batch-title">${t("bat.title")}</h1>
    <div class="batch-columns">
      <div class="batch-photos"><${Photos} all=${all} /></div>
      <div class="batch-settings"><${Settings} all=${all} /></div>
    </div>
    ${children}
  </section>`;
}

/** Ways to add photos: `children` draws them, given {photos(), folder()} that open the file chooser. */
function Choosers({ children }) {
  const files = useRef(null);
  const folder = useRef(null);
  const take = event => {
    takeIn([...event.target.files].filter(file => !file.name.startsWith(".")));
    event.target.value = "";
  };
  return html`${children({ photos: () => files.current.click(), folder: () => folder.current.click() })}
    <input ref=${files} type="file" hidden multiple accept=${PICTURES} onChange=${take} />
    <input ref=${folder} type="file" hidden multiple webkitdirectory onChange=${take} />`;
}

function Photos({ all }) {
  const [picking, setPicking] = useState(false);
  const missing = useStore(leftOut);
  const failed = all.filter(each => each.error);
  const open = all.filter(each => !each.id && !each.error);
  const share = all.length ? (all.length - open.length + open.reduce((sum, each) => sum + each.progress, 0)) / all.length : 0;
  const take = ids => {
    setPicking(false);
    const there = new Set(photos.get().map(each => each.id));
    const added = ids.filter(id => !there.has(id)).map(id => ({ key: id, id, name: api.latest({ id }).title ?? "", progress: 1 }));
    photos.set(old => [...old, ...added]);
  };
  const pick = () => setPicking(true);
  return html`
    ${!all.length && html`<${FileDrop} class="batch-drop" label=${t("bat.drop")} hint=${t("bat.drop_hint")}
      onFiles=${takeIn} />
      <div class="row wrap batch-ways"><${Choosers}>${choose => html`
        <${Button} icon="folder" onClick=${choose.folder}>${t("bat.folder")}<//>
        <${Button} kind="quiet" icon="grid" onClick=${pick}>${t("tas.from_gallery")}<//>`}<//></div>`}
    ${all.length > 0 && html`<div class="row"><h2
      aria-live="polite">${t("bat.photos", { n: all.length - failed.length })}</h2>
      <span class="gap"></span><${Choosers}>${choose => html`<${Menu} kind="plain" icon="plus"
        label=${t("bat.more_photos")} items=${[
        { label: t("bat.some"), icon: "picture", onSelect: choose.photos },
        { label: t("bat.folder"), icon: "folder", onSelect: choose.folder },
        { label: t("tas.from_gallery"), icon: "grid", onSelect: pick },
      ]}>${t("bat.more_photos")}<//>`}<//>
      <${Button} kind="quiet" icon="close" onClick=${clear}>${t("bat.clear")}<//></div>
      ${open.length > 0 && html`<div class="learning"><span role="status">${t("bat.uploading", { n: open.length })}</span>
        <${Progress} value=${share} label=${t("paint.uploading")} /></div>`}`}
    ${missing > 0 && html`<p class="small muted" role="status">${t("bat.left_out", { n: missing })}</p>`}
    ${failed.length > 0 && html`<div role="alert"><ul class="batch-bad">${failed.map(each => html`<li key=${each.key}>
      <${Icon} name="warning" size="18" /><span
        class="grow">${!each.error.includes(each.name) && html`<strong>${each.name}</strong> `}${
        sentence(each.error)}</span>
      <${IconButton} icon="refresh" label=${t("bat.upload_again", { name: each.name })} onClick=${() => again(each)} />
      <${IconButton} icon="close" label=${t("bat.take_out", { name: each.name })}
        onClick=${() => takeOut(each.key)} /></li>`)}</ul></div>`}
    <ul class="batch-thumbs">${all.filter(each => !each.error).map(each => html`<${Photo} key=${each.key}
      each=${each} />`)}</ul>
    ${picking && html`<${GalleryDialog} title=${t("bat.pick")} several kinds=${["photo", "result"]}
      close=${() => setPicking(false)}
      action=${n => t("tas.add", { n })} take=${take} />`}`;
}

function Photo({ each }) {
  const picture = api.usePicture(each.id);
  const name = each.name || picture?.title || t("gal.untitled");
  useEffect(() => { if (picture?.gone) takeOut(each.key); }, [picture?.gone]);
  return html`<li title=${name}>${picture?.thumb ? html`<img src=${picture.thumb} alt=${name} loading="lazy"
    decoding="async" />`
    : html`<span class="blank"><span class="hidden-text">${name}</span>${each.progress > 0 && percent(each.progress)}</span>`}
    <${IconButton} class="batch-out" icon="close" size="16" kind="plain" label=${t("bat.take_out", { name })}
      onClick=${() => takeOut(each.key)} /></li>`;
}

function Settings({ all }) {
  const now = useStore(settings);
  const styles = api.useStyles();
  const [busy, setBusy] = useState(false);
  const style = styleOf(styles, now.style);
  const ready = new Set(all.filter(each => each.id).map(each => each.id)).size;
  const coming = all.filter(each => !each.id && !each.error).length;
  const uploading = coming > 0;
  const paint = async () => {
    setBusy(true);
    try {
      go(`#/batch/${await start()}`);
    } catch (problem) {
      toastError(problem);
      setBusy(false);
    }
  };
  return html`<div class="card stack">
    <${StyleChoice} value=${now.style} onChoose=${style => changeSettings({ style })} />
    <${Slider} label=${t("paint.strength")} value=${now.strength} min=${0} max=${100} unit="%" reset=${100}
      onInput=${strength => changeSettings({ strength })} />
    <div><${Segmented} label=${t("paint.quality")} value=${now.quality} onChange=${quality => changeSettings({ quality })}
      options=${["draft", "standard", "best"].map(value => ({ value, label: t(`paint.quality_${value}`) }))} />
      <p class="small muted quality-hint">${t(`paint.quality_${now.quality}_hint`)}</p></div>
    <${Segmented} label=${t("bat.format")} value=${now.format} onChange=${format => changeSettings({ format })}
      options=${[{ value: "png", label: "PNG" }, { value: "jpeg", label: "JPEG" }, { value: "webp", label: "WebP" }]} />
    <${Button} kind="primary" big wide icon="brush" busy=${busy} disabled=${!ready || uploading || (styles && !style)}
      onClick=${paint}>
      ${uploading ? t("bat.uploading", { n: coming }) : t(ready ? "bat.paint" : "bat.paint_none", { n: ready })}<//>
  </div>`;
}
