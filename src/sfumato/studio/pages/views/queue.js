// The queue: what is being painted, what waits, and what has ended.

import { html, useMemo, useState, useStore } from "../lib.js";
import { connection, get, hasEnded, jobs, loadJobs, noteJobs, post, useLoaded } from "../api.js";
import { t, useLanguage } from "../i18n.js";
import { Button, EmptyState, Icon, Progress, ask, toastError } from "../ui.js";
import { JobRow, isShown } from "./jobs.js";
import { ErrorNote } from "./parts.js";

const byTime = (first, second) => (first.created < second.created ? -1 : 1);

export default function Queue() {
  useLanguage();
  const all = useStore(jobs);
  const { error, reload } = useLoaded(() => loadJobs(), []);
  const lost = useStore(connection) === "lost";
  const { running, waiting, batches, ended } = useMemo(() => sorted(all), [all]);
  const busy = running.length + waiting.length;

  const cancel = async exceptRunning => {
    const agreed = exceptRunning || await ask({
      title: t("que.cancel_all"), text: t("que.cancel_all_text", { n: busy }), action: t("que.cancel_all"), danger: true,
    });
    if (agreed) await post("/jobs/cancel", { except_running: exceptRunning }).then(loadJobs).catch(toastError);
  };

  return html`<section class="queue page" aria-labelledby="queue-title">
    <div class="row"><h1 id="queue-title">${t("que.title")}</h1><span class="gap"></span>
      <a class="button" href="#/batch"><${Icon} name="folder" /> ${t("bat.new")}</a></div>
    ${lost && html`<p class="note" role="status">${t("net.lost")}</p>`}
    ${error && html`<${ErrorNote} error=${error} retry=${reload} />`}
    ${busy > 0 && html`<div class="row"><span
      role="status">${t("que.running", { n: running.length })}, ${t("que.waiting_count", { n: waiting.length })}</span>
      <span class="gap"></span>
      ${waiting.length > 0 && html`<${Button} icon="stop" onClick=${() => cancel(true)}>${t("que.cancel_rest")}<//>`}
      <${Button} kind="danger" icon="close" onClick=${() => cancel(false)}>${t("que.cancel_all")}<//></div>`}
    ${batches.length > 0 && html`<h2>${t("bat.batches")}</h2><ul class="jobs">${batches.map(each => html`<${BatchRow}
      key=${each.id} batch=${each} />`)}</ul>`}
    ${running.length > 0 && html`<h2>${t("que.now")}</h2><ul class="jobs">${running.map(job => html`<${JobRow}
      key=${job.id} job=${job} />`)}</ul>`}
    ${waiting.length > 0 && html`<h2>${t("que.next")}</h2><ul
      class="jobs">${waiting.slice(0, 100).map(job => html`<${JobRow} key=${job.id} job=${job} />`)}</ul>
      ${waiting.length > 100 && html`<p>${t("que.and_more", { n: waiting.length - 100 })}</p>`}`}
    ${ended.length > 0 && html`<h2>${t("que.ended")}</h2><${Ended} list=${ended} />`}
    ${!busy && !ended.length && !batches.length && !error && html`<${EmptyState} icon="queue" title=${t("que.none")}
      text=${t("que.none_hint")}><a class="button primary" href="#/paint">${t("gal.paint_first")}</a><//>`}
  </section>`;
}

function Ended({ list }) {
  const [count, setCount] = useState(20);
  const [next, setNext] = useState(undefined); // where the service's older jobs go on; null at their end
  const more = async () => {
    setCount(count + 40);
    if (list.length >= count + 40 || next === null) return;
    try {
      const found = await get("/jobs", { before: next, limit: 200 });
      setNext(found.next);
      noteJobs(found.items);
    } catch (problem) {
      toastError(problem);
    }
  };
  return html`<ul class="jobs">${list.slice(0, count).map(job => html`<${JobRow} key=${job.id} job=${job} />`)}</ul>
    ${(list.length > count || (next !== null && list.length >= 20)) && html`<${Button} kind="quiet" onClick=${more}>${t("que.more")}<//>`}`;
}

function BatchRow({ batch }) {
  return html`<li class="job"><a class="job-thumb" href="#/batch/${batch.id}" aria-label=${t("bat.open")}><${Icon}
    name="folder" /></a>
    <div class="job-text"><a href="#/batch/${batch.id}"><strong>${t("bat.of", { n: batch.jobs.length })}</strong></a>
      <${Progress} value=${batch.progress} label=${t("que.progress")} />
      <span class="job-doing">${t("bat.counts", { done: batch.done, count: batch.jobs.length })}${batch.failed > 0
        ? html` · <span class="failure">${t("bat.failed_count", { n: batch.failed })}</span>` : ""}</span></div></li>`;
}

// Variants on trial are quick jobs, which are not shown; a batch stays on top while it works.
function sorted(all) {
  const shown = [...all.values()].filter(isShown).sort(byTime);
  const groups = grouped(shown);
  const batches = [...groups].map(([id, list]) => batchOf(id, list)).filter(each => each.open > 0);
  const position = job => job.position ?? 1e9;
  return {
    running: shown.filter(job => job.state === "running"),
    waiting: shown.filter(job => job.state === "queued")
      .sort((first, second) => position(first) - position(second) || byTime(first, second)),
    ended: shown.filter(hasEnded).sort((first, second) => ((first.ended ?? "") < (second.ended ?? "") ? 1 : -1)),
    batches,
  };
}

function grouped(list) {
  const found = new Map();
  for (const job of list.filter(each => each.batch)) found.set(job.batch, [...(found.get(job.batch) ?? []), job]);
  return found;
}

/** The sums of a batch's jobs. A retried job is counted once: by its newest attempt. */
export function batchOf(id, list) {
  const newest = new Map();
  for (const job of [...list].sort(byTime)) {
    newest.set(JSON.stringify([job.asked?.photo, job.asked?.styles, job.asked?.options]), job);
  }
  const found = [...newest.values()];
  const count = state => found.filter(job => job.state === state).length;
  const share = job => (hasEnded(job) ? 1 : job.state === "running" ? job.progress : 0);
  return {
    id, jobs: found, done: count("done"), failed: count("failed"), cancelled: count("cancelled"),
    open: count("queued") + count("running"),
    progress: found.reduce((sum, job) => sum + share(job), 0) / Math.max(1, found.length),
  };
}
