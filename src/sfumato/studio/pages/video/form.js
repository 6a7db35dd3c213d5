// The form of a video: the video, a style, settings, and the buttons that paint it.

import { html, useEffect, useState, useStore } from "../lib.js";
import * as api from "../api.js";
import { percent, t } from "../i18n.js";
import { Button, FileDrop, IconButton, Progress, Segmented, Select, Slider, sentence, toast, toastError } from "../ui.js";
import { StyleChoice } from "../paint/shelf.js";
import { styleOf } from "../paint/recipe.js";
import { trash } from "../views/actions.js";
import { TRIAL, VIDEOS, changeSettings, chosen, clock, settings, start, stopUpload, takeIn, upload } from "./state.js";

export function Form() {
  const id = useStore(chosen);
  const video = api.usePicture(id);
  useEffect(() => { if (video?.gone || video?.trashed) chosen.set(null); }, [video?.gone, video?.trashed]);
  return html`<div class="batch-columns">
    <div class="batch-photos"><${Source} video=${video?.gone ? null : video} /></div>
    <div class="batch-settings"><${Settings} video=${video?.gone ? null : video} /></div>
  </div>`;
}

function Source({ video }) {
  const coming = useStore(upload);
  const changes = useStore(api.galleryChanges);
  const { value } = api.useLoaded(signal => api.listPictures({ kind: "video", limit: 60 }, signal), [changes]);
  const others = (value?.items ?? []).filter(each => each.id !== video?.id);
  return html`
    ${video && html`<figure class="video-source"><img src=${video.thumb} alt="" />
      <figcaption class="row"><span class="grow ellipsis">${video.title || t("gal.untitled")}</span>
      <span class="small muted number">${clock(video.measures?.seconds)} · ${video.width} × ${video.height}</span>
      <${IconButton} icon="trash" label=${t("vid.delete", { name: video.title })}
        onClick=${() => trash([video.id])} /></figcaption></figure>`}
    <${FileDrop} class="batch-drop" multiple=${false} accept=${VIDEOS} label=${t(video ? "vid.drop_other" : "vid.drop")}
      hint=${t("vid.drop_hint")} onFiles=${([file]) => takeIn(file)} />
    ${coming && (coming.error ? html`<p class="note" role="alert">${coming.name}: ${sentence(coming.error)}
      <${Button} kind="quiet" icon="refresh" onClick=${() => takeIn(coming.file)}>${t("que.retry")}<//></p>`
    : html`<div class="row"><span class="grow"><span class="small">${coming.name}, ${percent(coming.progress)}</span>
      <${Progress} value=${coming.progress} label=${t("vid.uploading")} /></span>
      <${IconButton} icon="close" label=${t("vid.stop_upload")} onClick=${stopUpload} /></div>`)}
    ${others.length > 0 && html`<h2>${t("vid.earlier")}</h2><ul class="batch-thumbs">${others.map(each => html`
      <li key=${each.id}><button type="button" class="video-pick" title=${each.title} onClick=${() => chosen.set(each.id)}><img
        src=${each.thumb} alt=${each.title || t("gal.untitled")} loading="lazy" /></button></li>`)}</ul>`}`;
}

function Settings({ video }) {
  const now = useStore(settings);
  const styles = api.useStyles();
  const [busy, setBusy] = useState(false);
  const style = styleOf(styles, now.style);
  const paint = async isTrial => {
    setBusy(true);
    try {
      await start(video, isTrial);
      toast(t("vid.started"));
    } catch (problem) {
      toastError(problem);
    }
    setBusy(false);
  };
  const ready = video && style;
  return html`<div class="card stack">
    <${StyleChoice} value=${now.style} onChoose=${style => changeSettings({ style })} />
    <${Slider} label=${t("paint.strength")} value=${now.strength} min=${0} max=${100} unit="%" reset=${100}
      onInput=${strength => changeSettings({ strength })} />
    <${Slider} label=${t("vid.steady")} value=${now.steady} min=${0} max=${100} unit="%" reset=${90}
      onInput=${steady => changeSettings({ steady })} />
    <div><${Segmented} label=${t("paint.quality")} value=${now.quality} onChange=${quality => changeSettings({ quality })}
      options=${["draft", "standard"].map(value => ({ value, label: t(`paint.quality_${value}`) }))} />
      <p class="small muted quality-hint">${t(`vid.quality_${now.quality}_hint`)}</p></div>
    <${Select} label=${t("vid.size")} value=${String(now.size)} onChange=${size => changeSettings({ size: Number(size) })}
      options=${[854, 1280, 1920, 0].map(size => ({ value: String(size), label: t(`vid.size_${size}`) }))} />
    <${Button} big wide icon="play" busy=${busy} disabled=${!ready} onClick=${() => paint(true)}>${t("vid.try", { n: TRIAL })}<//>
    <${Button} kind="primary" big wide icon="brush" busy=${busy} disabled=${!ready} onClick=${() => paint(false)}>${t("vid.paint")}<//>
  </div>`;
}
