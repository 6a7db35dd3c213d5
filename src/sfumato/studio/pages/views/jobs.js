// How jobs are shown: in the queue and in a batch.

import { html } from "../lib.js";
import { cancelJob, hasEnded, retryJob, usePicture, useStyles } from "../api.js";
import { dateTime, duration, has, t } from "../i18n.js";
import { Button, Icon, IconButton, Progress, sentence, toastError } from "../ui.js";
import { stepOf } from "../steps.js";
import { styleTitle } from "./facts.js";

/** Whether a job is shown in the queue: those that the page runs for itself are not. */
export const isShown = job => !job.quick && !job.asked?.preview;

const sourceOf = job => job.asked?.photo ?? job.asked?.picture ?? job.asked?.video;

/** What a job is about, in a few words: "Monet, strength 80 %". */
export function useJobName(job) {
  const styles = useStyles();
  const source = usePicture(sourceOf(job));
  const result = usePicture(job.result?.picture);
  const kind = has(`que.kind_${job.kind}`) ? t(`que.kind_${job.kind}`) : job.kind;
  if (job.kind === "learn") return t("que.learn", { name: job.asked?.taste ?? "" });
  const title = (source?.gone ? result?.title || t("que.gone") : source?.title) || t("gal.untitled");
  const names = (job.asked?.styles ?? []).map(part => refTitle(part.style, styles)).join(", ");
  return names ? t("que.painted", { title, style: names }) : t("que.does", { kind, title });
}

/** The reader's name of a style reference. */
export function refTitle(ref, styles) {
  if (ref.startsWith("own:")) return styles?.own.find(each => each.ref === ref)?.name ?? t("que.own");
  if (ref.startsWith("taste:")) return t("que.taste", { name: ref.slice(6).split("/")[0] });
  return styleTitle(ref, styles);
}

/** The step of a job in the reader's language; also those of jobs that the painting view does not start. */
const doingOf = job => (job.doing ?? "").split(", ").map(part => {
  const key = `que.step_${part.replaceAll(" ", "_")}`;
  return has(key) ? t(key) : stepOf({ doing: part });
}).filter(Boolean).join(", ");

/** What a running job does, and for how long. */
export const runningOf = job => [
  doingOf(job), Number.isFinite(job.seconds_left) ? t("que.left", { time: duration(job.seconds_left) }) : "",
].filter(Boolean).join(" · ") || t("que.starting");

/** Where a waiting job stands. */
export const waitingOf = job => (job.position > 0 ? t("que.place", { n: job.position }) : t("que.waiting"));

export function JobRow({ job }) {
  const name = useJobName(job);
  const made = job.result?.picture ?? job.result?.sheet;
  const result = usePicture(made);
  const asked = usePicture(sourceOf(job));
  const source = made && !result?.gone ? result : asked;
  const thumb = source && !source.gone ? html`<img src=${source.thumb} alt="" loading="lazy" />` : html`<${Icon}
    name=${job.kind === "learn" ? "heart" : "picture"} size="28" />`;
  const places = { explain: `#/explain/${job.asked?.picture}`, video: "#/video" };
  const href = made && !result?.gone && (places[job.kind] ?? `#/gallery/${made}`);
  return html`<li class="job ${job.state}">
    ${href ? html`<a class="job-thumb" href=${href} aria-label=${t("que.open", { name })}>${thumb}</a>` : html`<span
      class="job-thumb">${thumb}</span>`}
    <div class="job-text"><strong>${name}</strong><${JobState} job=${job} /></div>
    <div class="job-actions">
      ${!hasEnded(job) && html`<${IconButton} icon="close" label=${t("que.cancel", { name })}
        onClick=${() => cancelJob(job.id).catch(toastError)} />`}
      ${["failed", "cancelled"].includes(job.state) && html`<${Button} kind="quiet" icon="refresh"
        onClick=${() => retryJob(job.id).catch(toastError)}>${t("que.retry")}<//>`}
    </div>
  </li>`;
}

function JobState({ job }) {
  if (job.state === "running") {
    return html`<${Progress} value=${job.progress} label=${t("que.progress")} />
      <span class="job-doing">${runningOf(job)}</span>`;
  }
  if (job.state === "queued") return html`<span>${waitingOf(job)}</span>`;
  if (job.state === "failed") return html`<span class="failure"><${Icon} name="warning" /> ${sentence(job.error)}</span>`;
  if (job.state === "cancelled") return html`<span>${t("que.cancelled")}</span>`;
  const remarks = job.result?.remarks ?? [];
  return html`<span>${t("que.done", { time: job.ended ? dateTime(job.ended) : "" })}</span>
    ${remarks.map((remark, place) => html`<span key=${place} class="job-doing" lang="en">${sentence(remark)}</span>`)}`;
}
