// Many photos in one style. `#/batch` is the form and the batches of late, `#/batch/ID` is one at work.

import { html, useMemo, useStore } from "../lib.js";
import * as api from "../api.js";
import { dateTime, t, useLanguage } from "../i18n.js";
import { Icon, Progress } from "../ui.js";
import { Form } from "../batch/form.js";
import { BatchProgress, sumsOf } from "../batch/progress.js";
import { useFocus } from "./focus.js";
import { isShown, refTitle } from "./jobs.js";

export default function BatchView({ route: { path: [id] } }) {
  useLanguage();
  useFocus(id);
  return id ? html`<${BatchProgress} key=${id} id=${id} />` : html`<${Form}><${Recent} /><//>`;
}

/** The batches among the jobs that the page knows, the newest first: [{id, list, created}]. */
function batchesOf(all) {
  const found = new Map();
  for (const job of all.values()) {
    if (job.batch && isShown(job)) found.set(job.batch, [...found.get(job.batch) ?? [], job]);
  }
  return [...found].map(([id, list]) => ({ id, list, created: list.map(job => job.created).sort()[0] }))
    .sort((first, second) => (first.created < second.created ? 1 : -1));
}

function Recent() {
  const all = useStore(api.jobs);
  api.useLoaded(() => api.loadJobs(), []);
  const batches = useMemo(() => batchesOf(all), [all]);
  if (!batches.length) return null;
  return html`<section class="stack tight" aria-labelledby="batch-recent"><h2 id="batch-recent">${t("bat.recent")}</h2>
    <ul class="batch-recent">${batches.slice(0, 12).map(each => html`<${Line} key=${each.id} batch=${each} />`)}</ul></section>`;
}

function Line({ batch: { id, list, created } }) {
  const styles = api.useStyles();
  const sums = sumsOf(list);
  const names = [...new Set(list.flatMap(job => job.asked?.styles ?? []).map(part => refTitle(part.style, styles)))].join(", ");
  const shown = [...list].sort((first, second) => Number(second.state === "done") - Number(first.state === "done")).slice(0, 4);
  return html`<li><a href="#/batch/${id}">
    <span class="batch-strip">${shown.map(job => html`<${Small} key=${job.id} id=${job.result?.picture ?? job.asked?.photo} />`)}</span>
    <span class="batch-words"><strong class="ellipsis">${names}</strong><span class="small muted">${dateTime(created)} · ${
      t("bat.counts", { done: sums.done, count: list.length })}${sums.failed ? ` · ${t("bat.failed_count", { n: sums.failed })}` : ""}</span>
      ${sums.open > 0 && html`<${Progress} value=${sums.progress} label=${t("que.progress")} />`}</span>
    <${Icon} name="right" size="18" /></a></li>`;
}

function Small({ id }) {
  const picture = api.usePicture(id);
  return picture?.thumb ? html`<img src=${picture.thumb} alt="" loading="lazy" />` : html`<span class="blank"></span>`;
}
