// How a painting came about: a sheet, sentences, and which paintings its strokes come from.

import { html, useEffect, useState } from "../lib.js";
import { get, hasEnded, noteJobs, retryJob, startJob, useJob, useLoaded, usePicture } from "../api.js";
import { percent, t, useLanguage } from "../i18n.js";
import { Button, EmptyState, Icon, Progress } from "../ui.js";
import { Viewer } from "../viewer.js";
import { download } from "./actions.js";
import { runningOf, waitingOf } from "./jobs.js";
import { Measures } from "./measures.js";
import { ErrorNote } from "./parts.js";

/** The newest explanation of a picture that has not failed; a new one where there is none. */
async function explanation(id) {
  const { items } = await get("/jobs", { limit: 100 });
  const found = items.find(job => (
    job.kind === "explain" && job.asked.picture === id && !["failed", "cancelled"].includes(job.state)
  ));
  return found ? noteJobs(found) : startJob({ kind: "explain", picture: id });
}

export default function Explain({ route: { path: [id] } }) {
  useLanguage();
  const item = usePicture(id);
  const [job, setJob] = useState(null);
  const { error, reload } = useLoaded(async () => { if (id) setJob((await explanation(id)).id); }, [id]);
  const now = useJob(job);
  const again = async () => setJob((await (now?.state === "failed" || now?.state === "cancelled"
    ? retryJob(now.id) : startJob({ kind: "explain", picture: id }))).id);

  if (!id || item?.gone) {
    return html`<section class="page"><h1>${t("exp.title")}</h1><${EmptyState} icon="eye"
      title=${t(id ? "pic.gone" : "exp.none")} text=${t("exp.none_hint")}>
      <a class="button primary" href="#/gallery">${t("exp.to_gallery")}</a><//></section>`;
  }
  return html`<section class="explain page" aria-labelledby="explain-title">
    <header class="explain-head">${item && html`<a href="#/gallery/${id}" aria-label=${t("exp.open")}><img
      src=${item.thumb} alt="" /></a>`}
      <div><h1 id="explain-title">${t("exp.title")}</h1><p class="muted">${item?.title ?? ""}</p></div></header>
    ${error && html`<${ErrorNote} error=${error} retry=${reload} />`}
    ${now && !hasEnded(now) && html`<${Working} job=${now} />`}
    ${now?.state === "failed" && html`<${ErrorNote} error=${{ message: now.error }} retry=${again} />`}
    ${now?.state === "cancelled" && html`<p>${t("que.cancelled")} <${Button} icon="refresh"
      onClick=${again}>${t("gal.again")}<//></p>`}
    ${now?.state === "done" && html`<${Explained} result=${now.result} again=${again} />`}
  </section>`;
}

function Working({ job }) {
  return html`<div class="card stack tight"><strong>${t("exp.working")}</strong>
    <${Progress} value=${job.state === "running" ? job.progress : null} label=${t("que.progress")} />
    <span class="small muted number" role="status">${job.state === "queued" ? waitingOf(job) : runningOf(job)}</span></div>`;
}

function Explained({ result, again }) {
  const sheet = usePicture(result.sheet);
  const [large, setLarge] = useState(false);
  useEffect(() => setLarge(false), [result.sheet]);
  return html`${sheet?.gone
    ? html`<p class="row wrap">${t("exp.sheet_gone")} <${Button} icon="refresh" onClick=${again}>${t("exp.again")}<//></p>`
    : sheet && html`<figure class="explain-sheet">
        ${large ? html`<div class="explain-stage"><${Viewer} picture=${sheet} name=${t("exp.sheet_alt")} /></div>`
          : html`<button type="button" class="explain-whole" onClick=${() => setLarge(true)} aria-label=${t("exp.zoom")}
            title=${t("exp.zoom")}>
              <img src=${sheet.file} width=${sheet.width} height=${sheet.height} alt=${t("exp.sheet_alt")} /></button>`}
        <figcaption class="row wrap"><span class="small muted grow">${t("exp.sheet_hint")}</span>
          <${Button} kind="quiet" icon=${large ? "fit" : "search"}
            onClick=${() => setLarge(!large)}>${t(large ? "exp.whole" : "exp.zoom")}<//>
          <${Button} kind="quiet" icon="download"
            onClick=${() => download(`${sheet.file}?download=1`)}>${t("gal.download")}<//></figcaption></figure>`}
    ${result.sources.length > 0 && html`<h2>${t("exp.sources")}</h2><${Sources} sources=${result.sources} />`}
    <h2>${t("exp.words")}</h2>
    <div class="explain-words" lang="en">${result.sentences.map((each, place) => html`<p key=${place}>${each}</p>`)}</div>
    ${result.measures && html`<h2>${t("pic.measures")}</h2><${Measures} measures=${result.measures} />`}`;
}

/** The paintings that strokes come from; each bar is as long as its share. */
function Sources({ sources }) {
  const most = Math.max(...sources.map(each => each.share));
  const some = sources.some(each => each.work);
  return html`<ul class="sources ${some ? "" : "bare"}">${sources.map(each => html`<li key=${each.title}>
    ${each.work ? html`<img src=${`/api/v1/works/${each.work}`} alt="" loading="lazy" />` : some && html`<span
      class="no-thumb"><${Icon} name="picture" /></span>`}
    <div><span class="row spread"><span>${each.title}</span><strong class="number">${percent(each.share)}</strong></span>
      <span class="bar" aria-hidden="true"><span
        style=${{ width: `${(each.share / most) * 100}%` }}></span></span></div></li>`)}</ul>`;
}
