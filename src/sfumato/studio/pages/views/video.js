// Videos: choose one, choose a style, try a few seconds, paint all of it; below, the painted ones.

import { html, useState, useStore } from "../lib.js";
import * as api from "../api.js";
import { t, useLanguage } from "../i18n.js";
import { Button, IconButton } from "../ui.js";
import { Form } from "../video/form.js";
import { clock } from "../video/state.js";
import { download, trash } from "./actions.js";
import { styleTitle } from "./facts.js";
import { JobRow } from "./jobs.js";
import { ErrorNote } from "./parts.js";

export default function VideoView() {
  useLanguage();
  const open = [...useStore(api.jobs).values()].filter(job => job.kind === "video" && job.state !== "done");
  const newest = [...open].sort((first, second) => (first.created < second.created ? 1 : -1)).slice(0, 6);
  return html`<section class="page video" aria-labelledby="video-title">
    <h1 id="video-title">${t("vid.title")}</h1>
    <${Form} />
    ${newest.length > 0 && html`<ul class="jobs">${newest.map(job => html`<${JobRow} key=${job.id} job=${job} />`)}</ul>`}
    <${Films} />
  </section>`;
}

function Films() {
  const changes = useStore(api.galleryChanges);
  const [limit, setLimit] = useState(20); // the service gives at most 200 at a time
  const { value, error, reload } = api.useLoaded(signal => api.listPictures({ kind: "film", limit }, signal), [changes, limit]);
  if (error) return html`<${ErrorNote} error=${error} retry=${reload} />`;
  if (!value?.items.length) return null;
  return html`<section class="stack tight" aria-labelledby="video-films"><h2 id="video-films">${t("vid.painted")}</h2>
    <ul class="films">${value.items.map(film => html`<${Film} key=${film.id} film=${film} />`)}</ul>
    ${value.next && limit < 200 && html`<${Button} kind="quiet" onClick=${() => setLimit(200)}>${t("que.more")}<//>`}</section>`;
}

function Film({ film }) {
  const styles = api.useStyles();
  const painted = (film.recipe?.styles ?? []).map(each => styleTitle(each.name, styles));
  const name = [film.title || t("gal.untitled"), ...painted].join(", ");
  return html`<li class="card"><video controls playsinline preload="none" poster=${film.thumb} src=${film.file}
    width=${film.width} height=${film.height} aria-label=${name}></video>
    <div class="row"><span class="grow ellipsis" title=${name}>${name}</span>
      <span class="small muted number">${clock(film.measures?.seconds)} · ${film.width} × ${film.height}</span>
      <${IconButton} icon="download" label=${t("vid.download", { name })} onClick=${() => download(`${film.file}?download=1`)} />
      <${IconButton} icon="trash" label=${t("vid.delete", { name })} onClick=${() => trash([film.id])} /></div></li>`;
}
