// The rated pictures of a taste, in two rows, and the ways to add, move and remove them.

import { html, useState, useStore } from "../lib.js";
import * as api from "../api.js";
import { t } from "../i18n.js";
import { Button, Dialog, FileDrop, Icon, IconButton, Progress, Segmented, filesOf, toast } from "../ui.js";
import { usePictures } from "../views/pages.js";
import { comingIn, rateFiles, refused, teach } from "./state.js";

const MOVED = "application/x-sfumato-rated";

/** The two rows as they will be once everything is learnt: {liked: [entry], disliked: [entry]}. */
function rowsOf(taste, open) {
  const rows = { liked: [...taste?.liked ?? []], disliked: [...taste?.disliked ?? []] };
  for (const { asked } of open) {
    for (const row of ["liked", "disliked"]) {
      const other = row === "liked" ? "disliked" : "liked";
      rows[row] = rows[row].filter(each => !asked.removed?.includes(each.sha256));
      for (const id of asked[row] ?? []) {
        const moved = rows[other].find(each => each.picture === id);
        rows[other] = rows[other].filter(each => each.picture !== id);
        if (!rows[row].some(each => each.picture === id)) rows[row] = [...rows[row], { picture: id, ...moved, waits: true }];
      }
    }
  }
  return rows;
}

export function RatedRows({ name, taste, open }) {
  const rows = rowsOf(taste, open);
  const coming = useStore(comingIn).filter(each => each.taste === name);
  const problems = useStore(refused).filter(each => each.taste === name);
  return html`
    ${open.length > 0 && html`<${Learning} id=${open[0].id} />`}
    ${problems.length > 0 && html`<div role="alert"><ul class="problems">${problems.map(each => html`
      <li key=${each.text}><${Icon} name="warning" size="18" />${each.text}</li>`)}</ul></div>`}
    ${["liked", "disliked"].map(row => html`<${RatedRow} key=${row} name=${name} liked=${row === "liked"} entries=${rows[row]}
      coming=${coming.filter(each => each.liked === (row === "liked"))} />`)}`;
}

function Learning({ id }) {
  const job = api.useJob(id);
  const [, done, all] = /^picture (\d+) of (\d+)$/.exec(job?.doing ?? "") ?? [];
  const text = done ? t("tas.learning_n", { done: Number(done), all: Number(all) }) : t("tas.learning");
  return html`<div class="learning"><span role="status">${text}</span>
    <${Progress} value=${job?.state === "running" ? job.progress : null} label=${t("tas.learning")} /></div>`;
}

function RatedRow({ name, liked, entries, coming }) {
  const [over, setOver] = useState(false);
  const [picking, setPicking] = useState(false);
  const row = liked ? "liked" : "disliked";
  const move = each => teach(name, { [liked ? "disliked" : "liked"]: [each.picture] });
  const remove = each => {
    teach(name, { removed: [each.sha256] });
    toast(t("tas.removed", { name: each.name }), each.picture ? { undo: () => teach(name, { [row]: [each.picture] }) } : {});
  };
  const drop = async event => {
    event.preventDefault();
    setOver(false);
    const moved = event.dataTransfer.getData(MOVED);
    if (moved) {
      const { picture, from } = JSON.parse(moved);
      if (from !== row) teach(name, { [row]: [picture] });
      return;
    }
    const files = await filesOf(event.dataTransfer);
    if (files.length) rateFiles(name, files, liked);
  };
  return html`<section class="rated ${row} ${over ? "over" : ""}" aria-labelledby="rated-${row}" onDrop=${drop}
    onDragOver=${event => { event.preventDefault(); setOver(true); }} onDragLeave=${() => setOver(false)}>
    <div class="row"><h2 id="rated-${row}"><${Icon} name=${liked ? "heart" : "dislike"} filled=${liked} />
      ${t(`tas.${row}`)} <span class="muted number">${entries.length || ""}</span></h2><span class="gap"></span>
      <${Button} kind="quiet" icon="grid" onClick=${() => setPicking(true)}>${t("tas.from_gallery")}<//></div>
    <ul class="rated-list">
      <li class="rated-drop"><${FileDrop} icon="plus" label=${t(`tas.drop_${row}`)} onFiles=${files => rateFiles(name, files, liked)} /></li>
      ${coming.map(each => html`<li key=${each.id} class="rated-item waits"><span class="blank"><${Icon} name="upload" size="24" /></span>
        <span class="hidden-text">${t("tas.uploading", { name: each.name })}</span></li>`)}
      ${entries.map(each => html`<${RatedPicture} key=${each.sha256 ?? each.picture} taste=${name} entry=${each} row=${row}
        move=${() => move(each)} remove=${() => remove(each)} />`)}
    </ul>
    ${picking && html`<${GalleryDialog} title=${t(`tas.pick_${row}`)} several close=${() => setPicking(false)}
      action=${n => t("tas.add", { n })} take=${ids => { setPicking(false); teach(name, { [row]: ids }); }} />`}
  </section>`;
}

function RatedPicture({ taste, entry, row, move, remove }) {
  const picture = api.usePicture(entry.waits && !entry.sha256 ? entry.picture : null);
  const name = entry.name || picture?.title || t("gal.untitled");
  const src = entry.sha256 ? api.address(`/tastes/${taste}/pictures/${entry.sha256}`) : picture?.thumb;
  const liked = row === "liked";
  const drag = event => event.dataTransfer.setData(MOVED, JSON.stringify({ picture: entry.picture, from: row }));
  return html`<li class="rated-item ${entry.waits ? "waits" : ""}" draggable=${Boolean(entry.picture && !entry.waits)} onDragStart=${drag}>
    ${src ? html`<img src=${src} alt=${name} title=${name} loading="lazy" decoding="async" draggable=${false} />` : html`<span class="blank"></span>`}
    ${!entry.waits && html`<span class="rated-does">
      ${entry.picture && html`<${IconButton} kind="plain" size="18" icon=${liked ? "dislike" : "heart"} onClick=${move}
        label=${t(liked ? "tas.to_disliked" : "tas.to_liked", { name })} />`}
      <${IconButton} kind="plain" size="18" icon="close" label=${t("tas.remove", { name })} onClick=${remove} /></span>`}</li>`;
}

/** Chooses pictures of the gallery: take([ids]). Without `several` a click takes one. */
export function GalleryDialog({ title, several = false, kinds = ["result", "photo"], action, take, close, children }) {
  const [kind, setKind] = useState(kinds[0]);
  const [chosen, setChosen] = useState([]);
  const { items, next, more, loading } = usePictures({ kind });
  const pick = id => {
    if (!several) take([id]);
    else setChosen(old => (old.includes(id) ? old.filter(each => each !== id) : [...old, id]));
  };
  return html`<${Dialog} open title=${title} onClose=${close} wide actions=${several && html`
    <${Button} onClick=${close}>${t("ui.cancel")}<//>
    <${Button} kind="primary" disabled=${!chosen.length} onClick=${() => take(chosen)}>${action(chosen.length)}<//>`}>
    <div class="stack">
      ${kinds.length > 1 && html`<${Segmented} hidden label=${t("gal.which")} value=${kind} onChange=${setKind}
        options=${kinds.map(value => ({ value, label: t(value === "photo" ? "gal.photos" : "gal.results") }))} />`}
      ${children}
      ${items.length > 0 && html`<ul class="picks">${items.map(each => html`<li key=${each.id}><button type="button"
        aria-pressed=${several ? String(chosen.includes(each.id)) : null} aria-label=${each.title || t("gal.untitled")}
        title=${each.title} onClick=${() => pick(each.id)}><img src=${each.thumb} alt="" loading="lazy" /></button></li>`)}</ul>`}
      ${!items.length && !loading && html`<p class="muted">${t("gal.none")}</p>`}
      ${next && html`<${Button} kind="quiet" onClick=${more}>${t("que.more")}<//>`}
    </div><//>`;
}
