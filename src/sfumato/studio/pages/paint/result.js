// What one does with a painting: keep, rate, download, share its recipe, see why; and its progress while it is painted.

import { html, useState } from "../lib.js";
import { duration, percent, t } from "../i18n.js";
import * as api from "../api.js";
import { Button, Dialog, Field, Icon, IconButton, Menu, Progress, Rating, sentence, toast, toastError } from "../ui.js";
import { stepOf } from "../steps.js";
import { download as save } from "../views/actions.js";
import { change, changeWork, state } from "./state.js";
import { fromText, inWords, toText } from "./recipe.js";

/** Downloads a picture as PNG, JPEG or WebP, with its recipe inside. */
export async function download(picture, format) {
  const url = `${picture.file}?download=1`;
  if (picture.media_type === `image/${format}`) return save(url);
  const end = toast(t("paint.converting"), { seconds: 60 });
  try {
    const answer = await fetch(`${url}&format=${format}`);
    if (!answer.ok) throw new Error(t("net.failed", { status: answer.status }));
    const file = await answer.blob();
    const suffix = { "image/png": "png", "image/jpeg": "jpg", "image/webp": "webp" }[file.type] ?? format;
    const address = URL.createObjectURL(file);
    save(address, `${picture.title || "sfumato"}.${suffix}`);
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
    end();
    if (answer.headers.has("Sfumato-Remark")) toast(t("paint.unsealed"));
  } catch (problem) {
    end();
    toastError(problem);
  }
  return undefined;
}

/** The row under a painting. */
export function ResultBar({ picture, onShare }) {
  const set = changes => api.changePicture(picture.id, changes).catch(toastError);
  return html`<div class="result-bar" role="group" aria-label=${t("paint.painting")}>
    <${IconButton} icon="star" label=${t("paint.keep")} pressed=${picture.star} filled=${picture.star}
      onClick=${() => set({ star: !picture.star })} />
    <${Rating} label=${t("paint.rate")} value=${picture.rating} onChange=${rating => set({ rating })} />
    <span class="grow" />
    <${IconButton} icon="eye" label=${t("paint.explain")} href="#/explain/${picture.id}" />
    <${IconButton} icon="share" label=${t("paint.share")} onClick=${onShare} />
    <${Menu} label=${t("paint.download")} icon="download" kind="plain" items=${["png", "jpeg", "webp"].map(format => ({
      label: t(`paint.download_${format}`), onSelect: () => download(picture, format),
    }))}><span class="tool-text">${t("paint.download")}</span><//>
  </div>`;
}

/** The progress of a painting with its step, the time left and a button to cancel. */
export function JobBar({ job }) {
  const [stopping, setStopping] = useState(false);
  const queued = job.state === "queued";
  const doing = queued ? (job.position > 1 ? t("paint.waiting_n", { n: job.position }) : t("paint.waiting"))
    : stepOf(job) || t("paint.painting_now");
  const figures = queued ? [] : [percent(job.progress)];
  if (!queued && job.seconds_left > 0 && job.progress > 0.03) {
    figures.push(t("paint.left", { time: duration(job.seconds_left) }));
  }
  return html`<div class="job-bar" role="group" aria-label=${t("paint.painting_now")}>
    <div class="row"><strong class="grow ellipsis">${doing}</strong>
      <span class="number muted small">${figures.join(" · ")}</span>
      <${Button} kind="quiet" icon="stop" busy=${stopping} onClick=${() => {
        setStopping(true);
        api.cancelJob(job.id).catch(problem => { setStopping(false); toastError(problem); });
      }}>${t("ui.cancel")}<//></div>
    <${Progress} value=${queued ? null : job.progress} label=${t("paint.painting_now")} /></div>`;
}

/** What went wrong with a painting, and a button to try again. */
export function Failure({ text, onAgain, onClose }) {
  return html`<div class="failure-bar" role="alert"><${Icon} name="warning" /><p class="grow">${sentence(text)}</p>
    ${onAgain && html`<${Button} icon="refresh" onClick=${onAgain}>${t("ui.again")}<//>`}
    ${onClose && html`<${IconButton} icon="close" label=${t("ui.dismiss")} onClick=${onClose} />`}</div>`;
}

/** Repeats a painting that failed. */
export async function retry(photo, work) {
  try {
    const job = await api.retryJob(work.failed);
    changeWork(photo, { job: job.id, jobKeys: work.failedKeys, error: null, failed: null });
  } catch (problem) {
    toastError(problem);
  }
}

/** The recipe as a text, to copy and to paste. */
export function ShareRecipe({ onClose }) {
  const styles = api.useStyles();
  const { settings } = state.get();
  const [text, setText] = useState("");
  const [error, setError] = useState("");
  const own = toText(settings, styles);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(own);
      toast(t("paint.copied"));
    } catch {
      document.getElementById("recipe-text").select();
      toast(t("paint.copy_by_hand"));
    }
  };
  const take = () => {
    const error = takeText(text, styles);
    if (error) setError(error);
    else onClose();
  };
  return html`<${Dialog} open title=${t("paint.share")} onClose=${onClose}>
    <div class="stack">
      ${settings.styles.length > 0 && html`<div class="stack tight">
        <textarea id="recipe-text" class="input" readonly rows="7" aria-label=${t("paint.recipe_text")} value=${own} />
        <div><${Button} kind="primary" icon="copy" onClick=${copy}>${t("paint.copy")}<//></div>
        <p class="small muted">${t("paint.share_hint")}</p></div>`}
      <div class="stack tight"><${Field} label=${t("paint.paste_recipe")} rows="5" value=${text} error=${error}
        placeholder="Sfumato recipe …"
        onInput=${event => { setText(event.target.value); setError(""); }} />
        <div><${Button} icon="paste" disabled=${!text.trim()} onClick=${take}>${t("paint.recipe_use")}<//></div></div>
    </div><//>`;
}

/** Takes the settings of a recipe's text; returns a sentence where that is not possible. */
export function takeText(text, styles) {
  const found = fromText(text, styles);
  if (!found) return t("paint.no_recipe");
  if (!found.settings.styles.length) return t("paint.recipe_missing", { names: found.missing.join(", ") });
  const before = state.get().settings;
  change({ settings: found.settings });
  const told = found.missing.length ? t("paint.recipe_missing", { names: found.missing.join(", ") })
    : t("paint.recipe_taken", { words: inWords(found.settings, styles) });
  toast(told, { undo: () => change({ settings: before }) });
  return "";
}
