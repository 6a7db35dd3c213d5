// A batch at work: the progress over all, paintings as they come, failures by name, and all of them as one file.

import { eachOf, html, useEffect, useState, useStore } from "../lib.js";
import * as api from "../api.js";
import { duration, t } from "../i18n.js";
import { Button, Icon, IconButton, Menu, Progress, ask, sentence, toastError } from "../ui.js";
import { stepOf } from "../steps.js";
import { download } from "../views/actions.js";
import { refTitle } from "../views/jobs.js";
import { ErrorNote } from "../views/parts.js";

/** The sums of jobs: {done, failed, cancelled, queued, running, open, progress}. */
export function sumsOf(list) {
  const count = state => list.filter(job => job.state === state).length;
  const share = job => (api.hasEnded(job) ? 1 : job.state === "running" ? job.progress : 0);
  const [queued, running] = [count("queued"), count("running")];
  return {
    done: count("done"), failed: count("failed"), cancelled: count("cancelled"), queued, running, open: queued + running,
    progress: list.reduce((sum, job) => sum + share(job), 0) / Math.max(1, list.length),
  };
}

/** The names of the styles of jobs. */
export const styleNames = (list, styles) => [
  ...new Set(list.flatMap(job => job.asked?.styles ?? []).map(part => refTitle(part.style, styles))),
].join(", ");

/** Seconds until the batch has ended, by the paintings that have; null before the first one. */
function secondsLeft(list, sums) {
  const times = list.filter(job => job.state === "done" && job.started)
    .map(job => (new Date(job.ended) - new Date(job.started)) / 1000);
  if (!times.length || !sums.open) return null;
  const mean = times.reduce((sum, each) => sum + each, 0) / times.length;
  const work = sums.queued + list.reduce((sum, job) => sum + (job.state === "running" ? 1 - job.progress : 0), 0);
  return (work * mean) / Math.max(1, sums.running);
}

export function BatchProgress({ id }) {
  const all = useStore(api.jobs);
  const styles = api.useStyles();
  const again = useStore(api.connection); // what was missed while the connection was lost
  const { value, error, reload } = api.useLoaded(async () => {
    const found = await api.get(`/batches/${id}`);
    api.noteJobs(found.jobs);
    return found.jobs.map(job => job.id);
  }, [id, again]);
  const [busy, setBusy] = useState(false);
  const list = value?.map(each => all.get(each)).filter(Boolean) ?? [];
  const sums = sumsOf(list);
  const failed = list.filter(job => job.state === "failed");
  const left = secondsLeft(list, sums);
  useEffect(() => { setBusy(false); }, [value]);

  const does = run => async () => {
    setBusy(true);
    try {
      await run();
      reload();
    } catch (problem) {
      setBusy(false);
      toastError(problem);
    }
  };
  const retry = does(async () => api.noteJobs((await api.post(`/batches/${id}/retry`)).jobs));
  const retryOne = job => does(() => api.retryJob(job.id))();
  const paintCancelled = does(() => eachOf(list.filter(job => job.state === "cancelled"), 4, job => api.retryJob(job.id)));
  const cancelRest = does(() => api.post(`/batches/${id}/cancel`, { except_running: true }));
  const cancelAll = async () => {
    const agreed = await ask({
      title: t("bat.cancel_title"), text: t("bat.cancel_text", { n: sums.open }), action: t("bat.cancel_all"), danger: true,
    });
    if (agreed) does(() => api.post(`/batches/${id}/cancel`, {}))();
  };

  const names = styleNames(list, styles);
  const said = [
    t("bat.counts", { done: sums.done, count: list.length }), sums.failed > 0 && t("bat.failed_count", { n: sums.failed }),
    sums.cancelled > 0 && t("bat.cancelled_count", { n: sums.cancelled }),
  ].filter(Boolean).join(" · ");
  return html`<section class="page batch-work" aria-labelledby="batch-title">
    <div class="row wrap"><${IconButton} icon="left" label=${t("bat.all")} href="#/batch" />
      <div class="grow"><h1 id="batch-title">${list.length ? t("bat.of", { n: list.length }) : t("bat.title")}</h1>
        ${names && html`<p class="small muted">${names}</p>`}</div>
      ${sums.open > 0 && html`<${Menu} kind="plain" icon="stop" label=${t("bat.cancel")} items=${[
        sums.queued > 0 && { label: t("bat.cancel_rest"), icon: "stop", onSelect: cancelRest },
        { label: t("bat.cancel_all"), icon: "close", danger: true, onSelect: cancelAll },
      ]}>${t("bat.cancel")}<//>`}
      ${!sums.open && sums.cancelled > 0 && html`<${Button} icon="play" busy=${busy}
        onClick=${paintCancelled}>${t("bat.paint_cancelled", { n: sums.cancelled })}<//>`}
      ${failed.length > 0 && html`<${Button} icon="refresh" busy=${busy}
        onClick=${retry}>${t("bat.retry", { n: failed.length })}<//>`}
      ${sums.done > 0 && html`<${Button} kind=${sums.open ? "plain" : "primary"} icon="download"
        onClick=${() => download(api.address(`/batches/${id}/zip`))}>${t("bat.zip", { n: sums.done })}<//>`}</div>
    ${error && html`<${ErrorNote} error=${error} retry=${error.status === 404 ? null : reload} />`}
    ${list.length > 0 && html`<div class="batch-sum">${sums.open > 0 && html`<${Progress} value=${sums.progress}
      label=${t("que.progress")} />`}
      <div class="row spread small muted number"><span role="status">${said}</span>
        <span>${left === null ? "" : t("que.left", { time: duration(left) })}</span></div></div>`}
    ${failed.length > 0 && html`<ul class="batch-bad">${failed.map(job => html`<${Failed} key=${job.id} job=${job}
      retry=${retryOne} />`)}</ul>`}
    <ul class="batch-grid">${list.filter(job => job.state !== "failed").map(job => html`<${Cell} key=${job.id}
      job=${job} />`)}</ul>
  </section>`;
}

function Failed({ job, retry }) {
  const photo = api.usePicture(job.asked?.photo);
  const name = photo?.gone ? t("que.gone") : photo?.title || t("gal.untitled");
  return html`<li>${photo?.thumb ? html`<img src=${photo.thumb} alt="" />` : html`<${Icon} name="warning" size="18" />`}
    <span class="grow"><strong>${name}</strong> ${sentence(job.error)}</span>
    <${IconButton} icon="refresh" label=${t("bat.retry_one", { name })} onClick=${() => retry(job)} /></li>`;
}

function Cell({ job }) {
  const photo = api.usePicture(job.asked?.photo);
  const made = api.usePicture(job.result?.picture);
  const name = made?.title || photo?.title || t("gal.untitled");
  if (made && !made.gone) {
    return html`<li><a href="#/gallery/${made.id}" title=${name}><img src=${made.thumb} alt=${name} loading="lazy"
      decoding="async" /></a></li>`;
  }
  let says = t("que.waiting");
  if (job.state === "running") says = stepOf(job) || t("que.starting");
  if (job.state === "cancelled") says = t("que.cancelled");
  if (made?.gone) says = t("bat.deleted");
  return html`<li class="waits ${job.state}" title=${name}>
    ${photo?.thumb ? html`<img src=${photo.thumb} alt=${name} loading="lazy" decoding="async" />` : html`<span
      class="blank"></span>`}
    <span class="batch-state"><span class="ellipsis">${says}</span>
      ${job.state === "running" && html`<${Progress} value=${job.progress} label=${t("que.progress")} />`}</span></li>`;
}
