// What was learnt, in pictures: a photo painted in each style of a taste.

import { html, useEffect, useRef, useState } from "../lib.js";
import * as api from "../api.js";
import { percent, t } from "../i18n.js";
import { Button, FileDrop, Icon, Progress, toastError } from "../ui.js";
import { ErrorNote } from "../views/parts.js";
import { GalleryDialog } from "./rated.js";
import { paintWith, tastePhoto, useTastePhoto } from "./state.js";

// Sheets of this visit by all that they show: painted once, shown at once afterwards.
const sheets = new Map();

const keyOf = (taste, photo) => JSON.stringify([
  taste.name, photo?.id, taste.answers, taste.centres, taste.liked.map(each => each.sha256), taste.disliked.map(each => each.sha256),
]);

function useSheet(taste, photo, ready) {
  const key = ready ? keyOf(taste, photo) : null;
  const [, shown] = useState(0);
  const [error, setError] = useState(null);
  const [turn, setTurn] = useState(0);
  const [id, setId] = useState(null);
  useEffect(() => {
    setError(null);
    if (!key || sheets.has(key)) return undefined;
    const control = new AbortController();
    let job = null;
    (async () => {
      try {
        job = await api.startJob({ kind: "taste_sheet", taste: taste.name, photo: photo?.id ?? null });
        if (control.signal.aborted) throw new DOMException("left", "AbortError");
        setId(job.id);
        const { result } = await api.jobEnd(job.id, control.signal);
        sheets.set(key, [...result.centres].sort((first, second) => second.weight - first.weight));
        shown(count => count + 1);
      } catch (problem) {
        if (control.signal.aborted) {
          if (job) api.cancelJob(job.id).catch(() => {});
        } else setError(problem);
      }
    })();
    return () => control.abort();
  }, [key, turn]);
  const forget = () => { sheets.delete(key); setTurn(count => count + 1); };
  const shownLast = useRef(null); // stays while what was learnt since is painted
  const centres = sheets.get(key) ?? null;
  if (centres) shownLast.current = { photo: photo?.id, centres };
  const last = shownLast.current?.photo === photo?.id ? shownLast.current?.centres : null;
  return { centres, last, error, job: id, forget };
}

export function Learnt({ taste }) {
  const { photo, ready } = useTastePhoto();
  const { centres, last, error, job: id, forget } = useSheet(taste, photo, ready);
  const [choosing, setChoosing] = useState(false);
  const job = api.useJob(id);
  const several = taste.centres.length > 1;
  const ratio = photo ? `${photo.width} / ${photo.height}` : "4 / 3";
  return html`<section class="learnt" aria-labelledby="learnt-title">
    <div class="row"><h2 id="learnt-title">${t("tas.learnt")}</h2><span class="gap"></span>
      <${PhotoButton} photo=${photo} onClick=${() => setChoosing(true)} /></div>
    ${several && html`<p class="muted small">${t("tas.learnt_hint", { n: taste.centres.length })}</p>`}
    ${error ? html`<${ErrorNote} error=${error} retry=${forget} />` : html`<ul class="centres count-${Math.min(taste.centres.length, 4)}"
      aria-busy=${String(!centres)}>
      ${!several && photo && html`<li><figure><img src=${photo.file} alt=${photo.title} /></figure></li>`}${(centres ?? last ?? taste.centres).map((each, place) => html`<li key=${each.ref}><figure>
        ${each.picture ? html`<img src=${api.address(`/pictures/${each.picture}/file`)} alt=${t("tas.centre_alt", { n: place + 1 })}
          style=${{ aspectRatio: ratio }} onError=${forget} />` : html`<span class="blank" style=${{ aspectRatio: ratio }}></span>`}
        ${several && html`<figcaption><strong class="number">${percent(each.weight)}</strong>
          <${Button} kind="quiet" icon="brush" onClick=${() => paintWith(each.ref)}
            aria-label=${t("tas.paint_centre", { n: place + 1 })}>${t("tas.paint_this")}<//></figcaption>`}
      </figure></li>`)}</ul>
      ${!centres && html`<div class="learning"><span role="status">${t("tas.painting")}</span>
        <${Progress} value=${job?.state === "running" ? job.progress : null} label=${t("tas.painting")} /></div>`}`}
    ${choosing && html`<${PhotoDialog} close=${() => setChoosing(false)} />`}
  </section>`;
}

/** The photo, small, on a button that changes it. */
export const PhotoButton = ({ photo, onClick }) => html`<button type="button" class="button photo-button"
  aria-label=${t("tas.other_photo")} title=${t("tas.other_photo")} onClick=${onClick}>
  ${photo ? html`<img src=${photo.thumb} alt="" />` : html`<${Icon} name="picture" size="18" />`}<span>${t("tas.other_photo")}</span></button>`;

/** Chooses the photo in which a taste is shown. */
export function PhotoDialog({ close }) {
  const [share, setShare] = useState(null);
  const take = async files => {
    setShare(0);
    try {
      tastePhoto.set((await api.upload(files[0], "photo", { progress: setShare })).id);
      close();
    } catch (problem) {
      toastError(problem);
      setShare(null);
    }
  };
  return html`<${GalleryDialog} title=${t("tas.choose_photo")} kinds=${["photo"]} close=${close}
    take=${([id]) => { tastePhoto.set(id); close(); }}>
    ${share === null ? html`<${FileDrop} class="small-drop" multiple=${false} label=${t("tas.drop_photo")} onFiles=${take} />`
      : html`<${Progress} value=${share} label=${t("paint.uploading")} />`}<//>`;
}
