// A picture, large, with its facts and all that can be done with it.

import { html, useEffect, useRef, useState } from "../lib.js";
import { changePicture, picture as fetchPicture, useLoaded, usePicture } from "../api.js";
import { t } from "../i18n.js";
import { Button, Icon, IconButton, Rating, toastError } from "../ui.js";
import { keysOn } from "../keys.js";
import { Viewer } from "../viewer.js";
import { ErrorNote } from "./parts.js";
import { Facts, RecipeFacts } from "./facts.js";
import { Measures } from "./measures.js";
import { copy, destroy, download, restore, trash } from "./actions.js";
import { CollectionDialog } from "./collection.js";
import { AgainstDialog } from "./compare.js";

export function PictureDialog({ id, items, near, show, close }) {
  const item = usePicture(id);
  const { error, reload } = useLoaded(() => fetchPicture(id), [id]);
  const photo = usePicture(item?.photo);
  const [before, setBefore] = useState(false);
  const [facts, setFacts] = useState(innerWidth >= 900);
  const [asks, setAsks] = useState(null);
  const box = useRef();
  const at = items.findIndex(each => each.id === id);
  const step = by => {
    const found = items[at + by];
    if (found) show(found.id);
    if (at + by > items.length - 10) near?.();
  };
  const comparable = photo && !photo.gone;

  useEffect(() => {
    // Not modal: then the notes, and their Undo, could not be reached. What lies behind is inert all the same.
    const focused = document.activeElement;
    const behind = [...document.querySelectorAll(".frame > :not(main)"), ...box.current.parentElement.children]
      .filter(each => each !== box.current);
    for (const each of behind) each.inert = true;
    box.current.show();
    return () => {
      for (const each of behind) each.inert = false;
      if (focused?.isConnected) focused.focus?.();
    };
  }, []);
  useEffect(() => { // its neighbours are there before they are asked for
    for (const each of [items[at - 1], items[at + 1]]) if (each) new Image().src = each.file;
  }, [id]);

  const leave = after => { // what is next when this one goes
    const found = items[at + 1] ?? items[at - 1];
    after();
    if (found) show(found.id); else close();
  };
  const remove = () => {
    if (item.trashed) destroy([id], () => leave(() => {}));
    else { leave(() => {}); trash([id]); }
  };
  const star = () => changePicture(id, { star: !item.star }).catch(toastError);
  const rate = rating => changePicture(id, { rating }).catch(toastError);

  const from = useRef(null); // what had the focus when a second dialog was opened
  const open = what => { from.current = document.activeElement; setAsks(what); };
  useEffect(() => { if (!asks && from.current?.isConnected) from.current.focus(); }, [asks]);

  const press = event => {
    if (document.querySelectorAll("dialog[open]").length > 1 || event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.matches("input[type=text], textarea");
    if (event.key === "Escape") {
      if (typing) event.target.blur();
      else close();
    }
    if (typing || !keysOn.get()) return;
    const keys = {
      ArrowLeft: () => step(-1), ArrowRight: () => step(1), s: star, c: () => comparable && setBefore(!before),
      i: () => setFacts(!facts), d: () => download(`${item.file}?download=1`), Delete: remove,
      1: () => rate(1), 2: () => rate(2), 3: () => rate(3), 4: () => rate(4), 5: () => rate(5),
    };
    // Within the viewer and a slider the arrows have another meaning.
    if (event.key.startsWith("Arrow") && event.target.closest("[role=slider], input")) return;
    if (!item || item.gone || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  };
  const latestPress = useRef(press);
  latestPress.current = press;
  useEffect(() => { // on the window: the focus may be nowhere when a button has gone
    const hear = event => latestPress.current(event);
    addEventListener("keydown", hear);
    return () => removeEventListener("keydown", hear);
  }, []);

  return html`<dialog class="picture-dialog ${facts ? "with-facts" : ""}" ref=${box}
    aria-label=${item?.title || t("pic.picture")} aria-modal="true">
    <header>
      <${IconButton} icon="close" label=${t("pic.close")} onClick=${close} />
      <span class="picture-place">${at >= 0 && t("pic.place", { place: at + 1, count: items.length })}</span>
      <span class="gap"></span>
      ${item && !item.gone && html`
        ${comparable && html`<${IconButton} icon="compare" label=${t("pic.compare_photo")} pressed=${before}
          onClick=${() => setBefore(!before)} />`}
        <${IconButton} icon="star" filled=${item.star} label=${t("gal.star")} pressed=${!!item.star} onClick=${star} />
        <${IconButton} icon="download" label=${t("gal.download")} onClick=${() => download(`${item.file}?download=1`)} />
        ${item.trashed && html`<${IconButton} icon="undo" label=${t("gal.restore")}
          onClick=${() => { leave(() => {}); restore([id]); }} />`}
        <${IconButton} icon="trash" label=${item.trashed ? t("gal.destroy") : t("gal.delete")} onClick=${remove} />`}
      <${IconButton} icon="info" label=${t("pic.facts")} pressed=${facts} onClick=${() => setFacts(!facts)} />
    </header>
    <div class="picture-stage">
      ${error && !item && html`<${ErrorNote} error=${error} retry=${error.status === 404 ? null : reload} />`}
      ${item?.gone && html`<p class="gone"><${Icon} name="picture" /> ${t("pic.gone")}</p>`}
      ${item && !item.gone && isVideo(item) && html`<video class="picture-video" key=${id} controls playsinline
        poster=${item.thumb} src=${item.file} aria-label=${item.title || t("gal.untitled")}></video>`}
      ${item && !item.gone && !isVideo(item) && html`<${Viewer} key=${id} picture=${item} name=${item.title || t("gal.untitled")}
        before=${before && comparable ? photo : null} />`}
      ${at > 0 && html`<div class="step left"><${IconButton} icon="left" label=${t("pic.previous")}
        onClick=${() => step(-1)} /></div>`}
      ${at >= 0 && at < items.length - 1 && html`<div class="step right"><${IconButton} icon="right"
        label=${t("pic.next")} onClick=${() => step(1)} /></div>`}
    </div>
    ${facts && item && !item.gone && html`<${Side} item=${item} photo=${photo} rate=${rate} ask=${open} />`}
    ${asks === "collection" && html`<${CollectionDialog} pictures=${[item]} close=${() => setAsks(null)} />`}
    ${asks === "against" && html`<${AgainstDialog} picture=${item} close=${() => setAsks(null)} />`}
  </dialog>`;
}

const isVideo = item => ["video", "film"].includes(item.kind);

function Side({ item, photo, rate, ask }) {
  const title = event => {
    const text = event.target.value.trim();
    if (text !== item.title) changePicture(item.id, { title: text }).catch(toastError);
  };
  return html`<aside class="picture-side" aria-label=${t("pic.facts")} tabindex="0">
    <label><span class="hidden-text">${t("pic.title")}</span>
      <input type="text" class="input title" maxlength="200" key=${item.id} defaultValue=${item.title}
        placeholder=${t("gal.untitled")} onChange=${title}
        onKeyDown=${event => event.key === "Enter" && event.target.blur()} /></label>
    <${Rating} label=${t("pic.rating")} value=${item.rating} onChange=${rate} />
    <div class="picture-actions">
      ${item.recipe && !isVideo(item) && html`<a class="button primary" href="#/paint?picture=${item.id}"><${Icon} name="sliders"
        size="18" /> ${t("pic.use")}</a>`}
      ${item.kind === "photo" && html`<a class="button primary" href="#/paint?photo=${item.id}"><${Icon} name="brush"
        size="18" /> ${t("pic.paint_it")}</a>`}
      ${item.kind === "result" && html`<a class="button" href="#/explain/${item.id}"><${Icon} name="eye"
        size="18" /> ${t("pic.explain")}</a>`}
      ${item.kind === "result" && html`<${Button} icon="compare"
        onClick=${() => ask("against")}>${t("pic.compare_with")}<//>`}
      <${Button} icon="folder" onClick=${() => ask("collection")}>${item.collection ?? t("gal.to_collection")}<//>
      ${item.recipe && html`<${Button} icon="copy"
        onClick=${() => copy(JSON.stringify(item.recipe, null, 1), t("pic.copied"))}>${t("pic.copy_recipe")}<//>`}
    </div>
    ${item.recipe && html`<h2>${t("pic.recipe")}</h2><${RecipeFacts} picture=${item} />`}
    ${item.measures && !isVideo(item) && html`<h2>${t("pic.measures")}</h2><${Measures} measures=${item.measures} />`}
    <h2>${t("pic.facts")}</h2><${Facts} picture=${item} />
    <details class="keys"><summary>${t("pic.keys")}</summary><p>${t("pic.keys_list")}</p></details>
  </aside>`;
}
