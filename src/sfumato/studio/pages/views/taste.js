// My taste: styles learnt from what one likes. `#/taste` lists them, `#/taste/NAME` is one, `#/taste/NAME/ask` asks.

import { html, useEffect, useRef, useState } from "../lib.js";
import * as api from "../api.js";
import { t, useLanguage } from "../i18n.js";
import { Button, Dialog, EmptyState, Field, Icon, IconButton, Menu, ask, toast, toastError } from "../ui.js";
import { changeSettings, state as painting } from "../paint/state.js";
import { useFocus } from "./focus.js";
import { ErrorNote, go } from "./parts.js";
import { download } from "./actions.js";
import { paintWith, useTaste } from "../taste/state.js";
import { RatedRows } from "../taste/rated.js";
import { Learnt } from "../taste/learnt.js";
import { Questions } from "../taste/questions.js";

const NAME = /^[a-z0-9][a-z0-9-]{0,62}$/;

/** A text as a name that the service takes. */
const nameOf = text => text.toLowerCase().normalize("NFKD").replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 63);

/** The first free name: my-taste, my-taste-2 ... */
function freeName(tastes, wanted = "my-taste") {
  const taken = new Set(tastes.map(each => each.name));
  let found = wanted;
  for (let count = 2; taken.has(found); count++) found = `${wanted}-${count}`;
  return found;
}

export default function TasteView({ route: { path: [name, what] } }) {
  useLanguage();
  useFocus(`${name}/${what}`);
  if (!name || !NAME.test(name)) return html`<${Tastes} />`;
  return html`<${One} key=${name} name=${name} asks=${what === "ask"} />`;
}

// All tastes.

function Tastes() {
  const { value, error, reload } = api.useLoaded(() => api.loadStyles(), []);
  const known = api.useStyles();
  const tastes = (value ?? known)?.tastes;
  const [file, setFile] = useState(null);
  const input = useRef(null);
  return html`<section class="page tastes" aria-labelledby="taste-title">
    <h1 id="taste-title">${t("tas.title")}</h1>
    <p class="lead muted">${t("tas.what")}</p>
    ${error && !tastes && html`<${ErrorNote} error=${error} retry=${reload} />`}
    ${tastes?.length > 0 && html`<ul class="taste-cards">${tastes.map(each => html`<${Card} key=${each.name} line=${each} />`)}</ul>`}
    ${tastes && html`<div class="taste-new"><${Create} tastes=${tastes}>
        <${Button} kind="quiet" icon="upload" onClick=${() => input.current.click()}>${t("tas.import")}<//><//>
      <input ref=${input} type="file" hidden accept=".sfumato" onChange=${event => { setFile(event.target.files[0] ?? null); event.target.value = ""; }} />
    </div>`}
    ${file && html`<${Import} file=${file} tastes=${tastes} close=${() => setFile(null)} />`}
  </section>`;
}

function Card({ line }) {
  const taste = api.useLoaded(() => api.get(`/tastes/${line.name}`), [line.name]).value;
  const shown = taste?.liked.slice(0, 4) ?? [];
  return html`<li><a class="taste-card" href="#/taste/${line.name}">
    <span class="collage count-${shown.length}">${shown.length ? shown.map(each => html`<img key=${each.sha256} alt=""
      src=${api.address(`/tastes/${line.name}/pictures/${each.sha256}`)} loading="lazy" />`) : html`<${Icon} name="heart" size="40" />`}</span>
    <strong>${line.name}</strong><span class="small muted">${taste?.imported ? t("tas.imported") : counts(line.liked, line.disliked, line.answers)}</span>
  </a></li>`;
}

const counts = (liked, disliked, answers) => [
  t("tas.n_liked", { n: liked }), disliked > 0 && t("tas.n_disliked", { n: disliked }), answers > 0 && t("tas.answered", { n: answers }),
].filter(Boolean).join(" · ");

function Create({ tastes, children }) {
  const [name, setName] = useState(freeName(tastes));
  const [error, setError] = useState("");
  const submit = event => {
    event.preventDefault();
    if (!NAME.test(name)) setError(t("tas.name_rule"));
    else go(`#/taste/${name}`);
  };
  return html`<form class="taste-form" onSubmit=${submit}>
    <${Field} label=${t(tastes.length ? "tas.new" : "tas.name")} hint=${t("tas.name_hint")} value=${name} error=${error} maxlength="63" autocapitalize="none"
      autocomplete="off" spellcheck=${false} onInput=${event => { setName(event.target.value.toLowerCase().replaceAll(" ", "-")); setError(""); }} />
    <${Button} kind=${tastes.length ? "plain" : "primary"} type="submit" icon="plus">${t("tas.create")}<//>${children}</form>`;
}

function Import({ file, tastes, close }) {
  const [name, setName] = useState(freeName(tastes, nameOf(file.name.replace(/\.[^.]*$/, "")) || "my-taste"));
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  const submit = async event => {
    event.preventDefault();
    if (!NAME.test(name)) { setError(t("tas.name_rule")); return; }
    const body = new FormData();
    body.append("name", name);
    body.append("file", file, file.name);
    setBusy(true);
    try {
      await api.post("/tastes", body);
      await api.loadStyles();
      close();
      go(`#/taste/${name}`);
    } catch (problem) {
      setError(problem.message);
      setBusy(false);
    }
  };
  return html`<${Dialog} open title=${t("tas.import_title", { name: file.name })} onClose=${close}>
    <form class="stack" onSubmit=${submit}>
      <${Field} label=${t("tas.name")} hint=${t("tas.name_hint")} value=${name} error=${error} maxlength="63" autocapitalize="none" autocomplete="off"
        onInput=${event => { setName(event.target.value.toLowerCase()); setError(""); }} />
      <div class="row end"><${Button} onClick=${close}>${t("ui.cancel")}<//>
        <${Button} kind="primary" type="submit" busy=${busy}>${t("tas.import_do")}<//></div></form><//>`;
}

// One taste.

async function remove(taste) {
  const { name } = taste;
  const agreed = await ask({
    title: t("tas.delete_title", { name }), text: t(taste.imported ? "tas.delete_imported" : "tas.delete_text", {
      liked: taste.liked.length, disliked: taste.disliked.length, answers: taste.answers,
    }), action: t("tas.delete"), danger: true,
  });
  if (!agreed) return;
  try {
    await api.del(`/tastes/${name}`);
    const isOf = ref => ref === `taste:${name}` || ref.startsWith(`taste:${name}/`);
    changeSettings({ styles: painting.get().settings.styles.filter(each => !isOf(each.style)) });
    await api.loadStyles();
    go("#/taste", { replace: true });
    toast(t("tas.deleted", { name }));
  } catch (problem) {
    toastError(problem);
  }
}

function One({ name, asks }) {
  const { taste, isNew, error, reload, open, failed } = useTaste(name);
  const [dismissed, setDismissed] = useState(null);
  const canAsk = taste && !taste.imported && taste.liked.length + taste.disliked.length > 0;
  if (asks && canAsk) return html`<${Questions} name=${name} taste=${taste} />`;
  if (error && !taste) return html`<section class="page"><h1>${name}</h1><${ErrorNote} error=${error} retry=${reload} /></section>`;
  if (!taste && !isNew) return html`<section class="page taste" aria-busy="true"><h1>${name}</h1></section>`;
  const learnt = Boolean(taste?.learnt);
  return html`<section class="page taste" aria-labelledby="taste-name">
    <div class="row wrap"><${IconButton} icon="left" label=${t("tas.all")} href="#/taste" />
      <div class="grow"><h1 id="taste-name">${name}</h1>${taste && !taste.imported && html`<p class="small muted">
        ${counts(taste.liked.length, taste.disliked.length, taste.answers)}</p>`}</div>
      ${canAsk && html`<a class="button" href="#/taste/${name}/ask"><${Icon} name="compare" size="18" />${t("tas.ask")}</a>`}
      ${learnt && html`<${Button} kind="primary" icon="brush" onClick=${() => paintWith(`taste:${name}`)}>${t("tas.paint")}<//>`}
      ${taste && html`<${Menu} label=${t("tas.more")} kind="plain" items=${[
        learnt && { label: t("tas.export"), icon: "download", onSelect: () => download(api.address(`/tastes/${name}/file`)) },
        { label: t("tas.delete"), icon: "trash", danger: true, onSelect: () => remove(taste) },
      ]} />`}</div>
    ${failed && failed.id !== dismissed && html`<div class="error-note" role="alert"><${Icon} name="warning" /><p>${failed.error}</p>
      <${IconButton} icon="close" label=${t("ui.dismiss")} onClick=${() => setDismissed(failed.id)} /></div>`}
    ${isNew && !open.length && html`<p class="lead muted">${t("tas.begin")}</p>`}
    ${taste && !learnt && !open.length && html`<p class="lead muted">${t("tas.not_learnt")}</p>`}
    ${taste?.imported && html`<p class="muted">${t("tas.imported_hint")}</p>`}
    ${learnt && html`<${Learnt} taste=${taste} />`}
    ${!taste?.imported && html`<${RatedRows} name=${name} taste=${taste} open=${open} />`}
  </section>`;
}
