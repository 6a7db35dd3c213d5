// Questions: one photo in two styles, large. Each answer teaches, and brings the next question.

import { html, useEffect, useRef, useState } from "../lib.js";
import * as api from "../api.js";
import { t } from "../i18n.js";
import { Button, EmptyState, Icon, IconButton, Progress } from "../ui.js";
import { useKeys } from "../keys.js";
import { ErrorNote, go } from "../views/parts.js";
import { PhotoButton, PhotoDialog } from "./learnt.js";
import { paintWith, useTastePhoto } from "./state.js";

const addressOf = id => api.address(`/pictures/${id}/file`);

/** Loads pictures, so that both appear at once; one that cannot be shown is told by its place. */
const loadAll = urls => Promise.all(urls.map(url => {
  const image = new Image();
  image.src = url;
  return image.decode().catch(() => {});
}));

export function Questions({ name, taste }) {
  const { photo, ready } = useTastePhoto();
  const [now, setNow] = useState(null); // what the service said last
  const [chosen, setChosen] = useState(null); // the answer that is being learnt
  const [error, setError] = useState(null); // {problem, again}
  const [choosing, setChoosing] = useState(false);
  const visit = useRef(0);
  const id = photo?.id ?? null;

  const ask = async request => {
    const mine = ++visit.current;
    const isLeft = () => mine !== visit.current;
    setError(null);
    try {
      const job = await api.startJob(request);
      const { result } = await api.jobEnd(job.id);
      if (result.question) await loadAll(result.question.pictures.map(addressOf));
      if (isLeft()) return;
      setNow(result);
      setChosen(null);
    } catch (problem) {
      if (!isLeft()) setError({ problem, again: () => ask(request) });
    }
  };
  useEffect(() => {
    if (!ready) return undefined;
    setNow(null);
    setChosen(null);
    ask({ kind: "question", taste: name, photo: id });
    return () => { visit.current++; };
  }, [name, id, ready]);

  const question = now?.question;
  const waits = !question || chosen !== null;
  const answer = choice => {
    if (waits) return;
    setChosen(choice);
    ask({ kind: "answer", taste: name, first: question.first, second: question.second, choice, photo: id });
  };
  const back = () => go(`#/taste/${name}`);
  useKeys({
    1: () => answer("first"), 2: () => answer("second"), 0: () => answer("neither"), arrowleft: () => answer("first"),
    arrowright: () => answer("second"), escape: back,
  });
  const answered = now?.answered ?? taste.answers;

  return html`<section class="ask" aria-labelledby="ask-title">
    <div class="row"><${IconButton} icon="left" label=${t("tas.back", { name })} href="#/taste/${name}" />
      <h1 id="ask-title">${t("tas.question")}</h1><span class="gap"></span>
      <${PhotoButton} photo=${photo} onClick=${() => setChoosing(true)} /></div>
    ${error && html`<${ErrorNote} error=${error.problem} retry=${error.again} />`}
    ${now && !question ? html`<${EmptyState} icon="check" title=${t("tas.enough")} text=${t("tas.enough_hint")}><div class="row wrap">
        <a class="button" href="#/taste/${name}">${t("tas.see_learnt")}</a>
        <${Button} kind="primary" icon="brush" onClick=${() => paintWith(`taste:${name}`)}>${t("tas.paint")}<//></div><//>`
      : html`<div class="pair" aria-busy=${String(waits)}>
        ${["first", "second"].map((which, place) => html`<${Choice} key=${which} place=${place} chosen=${chosen === which}
          passed=${chosen !== null && chosen !== which} picture=${question?.pictures[place]} waits=${waits} onClick=${() => answer(which)} />`)}</div>
      <div class="ask-foot">
        <${Button} aria-disabled=${waits ? "true" : null} aria-keyshortcuts="0" onClick=${() => answer("neither")}><span>${t("tas.neither")}</span><kbd>0</kbd><//>
        <div class="ask-wait" role="status">${!waits && html`<span class="muted small number">${t("tas.answered", { n: answered })}</span>`}${
          waits && !error && html`<span class="muted small">${t(chosen ? "tas.next" : "tas.first")}</span>
          <${Progress} label=${t("tas.next")} />`}</div>
        <a class="button quiet" href="#/taste/${name}">${t("tas.stop")}</a>
      </div>`}
    ${choosing && html`<${PhotoDialog} close=${() => setChoosing(false)} />`}
  </section>`;
}

const Choice = ({ place, picture, chosen, passed, waits, onClick }) => html`<button type="button" onClick=${onClick}
  class="choice ${chosen ? "chosen" : ""} ${passed ? "passed" : ""}" aria-disabled=${waits ? "true" : null} aria-keyshortcuts=${String(place + 1)}
  aria-label=${t(place ? "tas.second_better" : "tas.first_better")}>
  ${picture ? html`<img src=${addressOf(picture)} alt="" />` : html`<span class="blank"></span>`}
  <kbd aria-hidden="true">${place + 1}</kbd>${chosen && html`<span class="choice-mark"><${Icon} name="heart" filled size="28" /></span>`}</button>`;
