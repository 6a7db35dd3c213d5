// The gallery: all pictures of a person, to look at, find, sort out and use again.

import { html, debounce, useCallback, useEffect, useMemo, useRef, useState, useStore } from "../lib.js";
import { changePicture, galleryChanges, get, useLoaded } from "../api.js";
import { t, useLanguage } from "../i18n.js";
import { Button, EmptyState, Icon, IconButton, Segmented, toastError } from "../ui.js";
import { keysOn, useKeys } from "../keys.js";
import { Grid } from "./justified.js";
import { usePictures } from "./pages.js";
import { changeAll, destroy, downloadAll, emptyTrash, restore, trash } from "./actions.js";
import { PictureDialog } from "./picture.js";
import { CompareDialog } from "./compare.js";
import { CollectionDialog } from "./collection.js";
import { ErrorNote, go } from "./parts.js";

const linkOf = (path, query) => {
  const text = new URLSearchParams(Object.entries(query).filter(([, value]) => value)).toString();
  return `#/gallery${path}${text ? `?${text}` : ""}`;
};

export default function Gallery({ route: { path, query } }) {
  useLanguage();
  const place = ["photo", "trash"].includes(query.show) ? query.show : "result";
  const { items, next, loading, error, more, reload, drop } = usePictures({
    kind: place === "trash" ? "" : place, trash: place === "trash" ? "true" : "",
    query: query.q ?? "", star: query.star ? "true" : "", collection: query.collection ?? "",
  });
  const [chosen, setChosen] = useState(new Set());
  const [asks, setAsks] = useState(null); // "compare" or "collection"
  const last = useRef(null);
  const selected = useMemo(() => items.filter(item => chosen.has(item.id)), [items, chosen]);
  const clear = useCallback(() => setChosen(new Set()), []);
  const open = path[0];
  const change = changes => go(linkOf("", { ...query, ...changes }), { replace: true });

  useEffect(clear, [place, query.collection, query.star]);
  useKeys({ escape: clear, "/": () => document.getElementById("gallery-search").focus() });

  const choose = (index, through) => setChosen(old => {
    const after = new Set(old);
    const from = through && last.current !== null ? Math.min(last.current, index) : index;
    const to = through && last.current !== null ? Math.max(last.current, index) : index;
    const on = through || !old.has(items[index].id);
    for (let at = from; at <= to; at++) after[on ? "add" : "delete"](items[at].id);
    last.current = index;
    return after;
  });

  const remove = pictures => {
    const ids = pictures.map(item => item.id);
    if (place === "trash") destroy(ids, () => { drop(ids); clear(); });
    else trash(ids, () => { drop(ids); clear(); });
  };
  const bringBack = async () => {
    const ids = selected.map(item => item.id);
    drop(ids);
    clear();
    await restore(ids);
  };

  const onKey = (event, item, index) => {
    const targets = chosen.size ? selected : [item];
    const command = event.ctrlKey || event.metaKey;
    if (command && event.key === "a") setChosen(new Set(items.map(each => each.id)));
    else if (command || !keysOn.get()) return;
    else if (event.key === "x") choose(index, event.shiftKey);
    else if (event.key === "s" && place !== "trash") changeAll(targets.map(each => each.id), { star: !item.star }).catch(toastError);
    else if (event.key === "Delete") remove(targets);
    else return;
    event.preventDefault();
  };

  return html`<section class="gallery" aria-labelledby="gallery-title">
    <h1 id="gallery-title" class="hidden-text">${t("gal.title")}</h1>
    <${Tools} query=${query} place=${place} change=${change} full=${items.length > 0} />
    ${error && html`<${ErrorNote} error=${error} retry=${reload} />`}
    ${!items.length && !loading && !error && html`<${Nothing} place=${place} query=${query} change=${change} />`}
    <${Grid} items=${items} more=${next ? more : null} onKey=${onKey} label=${t("gal.title")}
      cell=${(item, index, tab) => html`<${Cell} item=${item} tab=${tab} href=${linkOf(`/${item.id}`, query)}
        chosen=${chosen.has(item.id)} choosing=${chosen.size > 0} inTrash=${place === "trash"}
        choose=${through => choose(index, through)} />`} />
    <p class="gallery-more" role="status">${loading ? t("gal.loading") : ""}</p>
    ${chosen.size > 0 && html`<${Selection} selected=${selected} inTrash=${place === "trash"} clear=${clear}
      remove=${() => remove(selected)} restore=${bringBack} ask=${setAsks} />`}
    ${open && html`<${PictureDialog} key="dialog" id=${open} items=${items} near=${more}
      show=${id => go(linkOf(`/${id}`, query), { replace: true })} close=${() => go(linkOf("", query))} />`}
    ${asks === "compare" && html`<${CompareDialog} pictures=${selected} close=${() => setAsks(null)} />`}
    ${asks === "collection" && html`<${CollectionDialog} pictures=${selected} close=${() => { setAsks(null); clear(); }} />`}
  </section>`;
}

function Tools({ query, place, change, full }) {
  const [text, setText] = useState(query.q ?? "");
  const latestChange = useRef(change);
  latestChange.current = change;
  const search = useMemo(() => debounce(q => latestChange.current({ q }), 250), []);
  useEffect(() => search.cancel, []);
  const changes = useStore(galleryChanges);
  const collections = useLoaded(() => get("/collections"), [changes]).value ?? [];
  return html`<div class="gallery-tools">
    <${Segmented} hidden label=${t("gal.which")} value=${place} onChange=${show => change({ show: show === "result" ? "" : show })}
      options=${[
        { value: "result", label: t("gal.results") }, { value: "photo", label: t("gal.photos") },
        { value: "trash", label: t("gal.trash") },
      ]} />
    <label class="search"><span class="hidden-text">${t("gal.search")}</span><${Icon} name="search" />
      <input id="gallery-search" class="input" type="search" placeholder=${t("gal.search")} value=${text} autocomplete="off"
        onInput=${event => { setText(event.target.value); search(event.target.value); }} /></label>
    ${place !== "trash" && html`<${Button} kind="quiet" icon="star" aria-pressed=${query.star ? "true" : "false"}
      onClick=${() => change({ star: query.star ? "" : "1" })}>${t("gal.starred")}<//>`}
    ${place !== "trash" && (collections.length > 0 || query.collection) && html`<label class="collections">
      <span class="hidden-text">${t("gal.collection")}</span>
      <select class="input" value=${query.collection ?? ""} onChange=${event => change({ collection: event.target.value })}>
        <option value="">${t("gal.all_collections")}</option>
        ${collections.map(each => html`<option key=${each.name} value=${each.name}>${each.name} (${each.count})</option>`)}
      </select></label>`}
    ${place === "trash" && full && html`<${Button} kind="danger" icon="trash" onClick=${emptyTrash}>${t("gal.empty")}<//>`}
  </div>`;
}

function Cell({ item, tab, href, chosen, choosing, choose, inTrash }) {
  const onClick = event => {
    if (!choosing && !event.ctrlKey && !event.metaKey && !event.shiftKey) return;
    event.preventDefault();
    choose(event.shiftKey);
  };
  const name = item.title || t("gal.untitled");
  return html`<div class="cell ${chosen ? "chosen" : ""} ${choosing ? "choosing" : ""}">
    <a data-main href=${href} tabindex=${tab} onClick=${onClick} aria-label=${name}>
      <img src=${item.thumb} alt="" decoding="async" draggable=${false} onError=${event => event.target.classList.add("broken")} />
    </a>
    <label class="cell-choose"><input type="checkbox" tabindex=${tab} checked=${chosen} aria-label=${t("gal.choose", { name })}
      onClick=${event => choose(event.shiftKey)} /></label>
    ${!inTrash && html`<button type="button" class="cell-star ${item.star ? "on" : ""}" tabindex=${tab} aria-pressed=${!!item.star}
      aria-label=${t("gal.star_one", { name })} title=${t("gal.star")}
      onClick=${() => changePicture(item.id, { star: !item.star }).catch(toastError)}><${Icon} name="star" size="18" filled=${item.star} /></button>`}
    <span class="cell-name" aria-hidden="true">${item.title}</span>
  </div>`;
}

function Selection({ selected, inTrash, clear, remove, restore: bringBack, ask }) {
  const ids = selected.map(item => item.id);
  const starred = selected.length > 0 && selected.every(item => item.star);
  return html`<div class="selection" role="toolbar" aria-label=${t("gal.selection")}>
    <${IconButton} icon="close" label=${t("gal.clear")} onClick=${clear} />
    <strong role="status">${t("gal.chosen", { n: selected.length })}</strong>
    <span class="gap"></span>
    ${inTrash
      ? html`<${Button} kind="quiet" icon="undo" onClick=${bringBack}>${t("gal.restore")}<//>`
      : html`<${IconButton} icon="star" filled=${starred} label=${starred ? t("gal.unstar") : t("gal.star")}
          onClick=${() => changeAll(ids, { star: !starred }).catch(toastError)} />
        <${IconButton} icon="folder" label=${t("gal.to_collection")} onClick=${() => ask("collection")} />
        <${IconButton} icon="download" label=${t("gal.download")} onClick=${() => downloadAll(selected)} />
        ${selected.length === 2 && html`<${IconButton} icon="compare" label=${t("gal.compare")} onClick=${() => ask("compare")} />`}`}
    <${IconButton} icon="trash" label=${inTrash ? t("gal.destroy") : t("gal.delete")} onClick=${remove} />
  </div>`;
}

function Nothing({ place, query, change }) {
  if (query.q || query.star || query.collection) {
    return html`<${EmptyState} icon="search" title=${t("gal.none_found")}>
      <${Button} onClick=${() => change({ q: "", star: "", collection: "" })}>${t("gal.show_all")}<//><//>`;
  }
  if (place === "trash") return html`<${EmptyState} icon="trash" title=${t("gal.trash_empty")} />`;
  return html`<${EmptyState} icon="grid" title=${t("gal.none")} text=${t("gal.none_hint")}>
    <a class="button primary" href="#/paint">${t("gal.paint_first")}</a><//>`;
}
