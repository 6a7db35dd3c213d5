// The shelf of styles: pictures of styles to choose from, one's taste, and styles made of dropped paintings.

import { html, useEffect, useMemo, useRef, useState } from "../lib.js";
import { t } from "../i18n.js";
import * as api from "../api.js";
import { Button, Dialog, Field, FileDrop, Icon, IconButton, Progress, ask, toast, toastError } from "../ui.js";
import { styleOf, titleOf } from "./recipe.js";
import { changeSettings, state } from "./state.js";

/** The address of a style's picture; null for a taste. */
export function pictureOf(style) {
  if (!style) return null;
  if (style.picture) return style.picture;
  return style.pictures?.length ? `/api/v1/pictures/${style.pictures[0]}/thumb` : null;
}

/** What stands under a style's name. */
export const subtitleOf = style => {
  if (style.ref.startsWith("taste:")) return t("paint.taste_sub", { n: (style.liked ?? 0) + (style.answers ?? 0) });
  if (style.ref.startsWith("own:")) return t("paint.own_sub", { n: style.pictures.length });
  return isWork(style) ? [style.artist, style.year].join(", ") : t("paint.artist_sub");
};

/** A style's picture, or an icon where it has none. */
export const StylePicture = ({ style }) => {
  const src = pictureOf(style);
  return src ? html`<img src=${src} alt="" loading="lazy" decoding="async" width="160" height="160" />`
    : html`<span class="no-picture"><${Icon} name=${style?.ref?.startsWith("taste:") ? "heart" : "palette"}
      size="26" /></span>`;
};

/** Whether a built-in style is that of one painting, not of a painter. */
const isWork = style => Boolean(style.title && style.artist && style.year);

/** Without capitals and accents. */
const plain = text => text.toLowerCase().normalize("NFKD").replace(/\p{M}/gu, "");

const matches = (style, words) => {
  const text = plain([titleOf(style), style.name, style.artist, style.year].join(" "));
  return words.every(word => text.includes(word));
};

/** The shelf. `chosen` is a list of references, `current` the one that a choice replaces; onChoose(ref, by keyboard). */
export function Shelf({ chosen, current = chosen[0], onChoose }) {
  const styles = api.useStyles();
  const [query, setQuery] = useState("");
  const [making, setMaking] = useState(null); // files of a style to make, [] to choose them
  const choices = useRef(null);
  const words = plain(query).split(/\s+/).filter(Boolean);
  const groups = useMemo(() => styles && [
    { id: "yours", all: [...styles.tastes.filter(each => each.learnt), ...styles.own] },
    { id: "works", all: styles.built_in.filter(isWork) },
    { id: "artists", all: styles.built_in.filter(style => !isWork(style)) },
  ], [styles]);
  if (!groups) return html`<div class="shelf" aria-busy="true"><div
    class="tiles">${Array.from({ length: 8 }, () => html`<span class="tile blank" />`)}</div></div>`;
  const found = groups.map(group => ({ ...group, all: group.all.filter(style => matches(style, words)) }));
  const shown = found.flatMap(group => group.all);
  // One stop of the Tab key; the arrows go from style to style and choose, as radio buttons do.
  const stop = shown.some(style => style.ref === current) ? current : shown[0]?.ref;
  const walk = event => {
    const tiles = [...choices.current.querySelectorAll(".tile")];
    if (event.target.role !== "radio" || !tiles.length) return;
    const columns = tiles.filter(tile => tile.getBoundingClientRect().top === tiles[0].getBoundingClientRect().top).length;
    const by = {
      ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, Home: -tiles.length, End: tiles.length,
    }[event.key];
    if (!by) return;
    event.preventDefault();
    const tile = tiles[Math.min(tiles.length - 1, Math.max(0, tiles.indexOf(event.target) + by))];
    tile.focus();
    onChoose(tile.dataset.ref, true);
  };
  const nothing = found.every(group => !group.all.length);
  return html`<div class="shelf">
    <div class="shelf-search"><${Icon} name="search" size="18" />
      <input class="input" type="search" placeholder=${t("paint.style_search")} aria-label=${t("paint.style_search")}
        value=${query}
        onInput=${event => setQuery(event.target.value)} /></div>
    <div class="shelf-list">
      ${!words.length && html`<${FileDrop} class="small-drop" icon="plus" label=${t("paint.own_drop")}
        hint=${t("paint.own_drop_hint")}
        onFiles=${setMaking} />`}
      <div ref=${choices} class="shelf-groups" role="radiogroup" aria-label=${t("paint.styles")} onKeyDown=${walk}>
      ${found.map(group => group.all.length > 0 && html`<section key=${group.id}>
        <h2 class="label muted">${t(`paint.styles_${group.id}`)}</h2>
        <div class="tiles">${group.all.map(style => html`<div key=${style.ref} class="tile-place">
          <button type="button" role="radio" class=${chosen.includes(style.ref) ? "tile chosen" : "tile"}
            aria-checked=${String(style.ref === current)} tabindex=${style.ref === stop ? 0 : -1}
            data-ref=${style.ref} onClick=${() => onChoose(style.ref)}>
            <${StylePicture} style=${style} /><span class="tile-name">${titleOf(style)}</span><span
              class="tile-sub">${subtitleOf(style)}</span>
          </button>
          ${style.ref.startsWith("own:") && html`<${IconButton} class="tile-delete" icon="trash" size="16" kind="plain"
            label=${t("paint.own_delete", { name: style.name })}
              onClick=${() => remove(style)} />`}</div>`)}</div></section>`)}</div>
      ${nothing && html`<p class="muted small" role="status">${t("paint.style_none")}</p>`}
    </div>
    ${making && html`<${MakeStyle} files=${making} onClose=${() => setMaking(null)}
      onMade=${style => { setMaking(null); onChoose(style.ref); }} />`}
  </div>`;
}

async function remove(style) {
  const agreed = await ask({
    title: t("paint.own_delete", { name: style.name }), text: t("paint.own_delete_text"), action: t("ui.delete"), danger: true,
  });
  if (!agreed) return;
  try {
    await api.del(`/styles/${style.id}`);
    changeSettings({ styles: state.get().settings.styles.filter(each => each.style !== style.ref) });
    await api.loadStyles();
  } catch (problem) {
    toastError(problem);
  }
}

/** Makes a style of paintings: they are uploaded at once, and named here. */
function MakeStyle({ files, onClose, onMade }) {
  const [pictures, setPictures] = useState([]);
  const [open, setOpen] = useState(0); // uploads under way
  const [name, setName] = useState(files[0]?.name.replace(/\.[^.]*$/, "").slice(0, 64) || "");
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  const begun = useRef(false);
  const add = async more => {
    setOpen(n => n + more.length);
    await api.uploadAll(more, "style", (_, { picture, error: problem }) => {
      setOpen(n => n - 1);
      if (picture) setPictures(old => [...old, picture]);
      else setError(problem.message);
    });
  };
  if (!begun.current) {
    begun.current = true;
    add(files);
  }
  const make = async () => {
    setBusy(true);
    try {
      const parts = pictures.map(each => ({ picture: each.id, weight: 1 }));
      const style = await api.post("/styles", { name: name.trim(), pictures: parts });
      await api.loadStyles();
      toast(t("paint.own_made", { name: style.name }));
      onMade(style);
    } catch (problem) {
      setError(problem.message);
      setBusy(false);
    }
  };
  return html`<${Dialog} open title=${t("paint.own_title")} onClose=${onClose} actions=${html`
    <${Button} onClick=${onClose}>${t("ui.cancel")}<//>
    <${Button} kind="primary" busy=${busy} disabled=${!pictures.length || open > 0 || !name.trim()}
      onClick=${make}>${t("paint.own_make")}<//>`}>
    <div class="stack">
      <${Field} label=${t("paint.own_name")} value=${name} maxlength="64"
        onInput=${event => setName(event.target.value)} error=${error} />
      <ul class="thumbs">${pictures.map(each => html`<li key=${each.id}><img src=${each.thumb} alt=${each.title} />
        <${IconButton} icon="close" size="16" kind="plain" label=${t("paint.own_without", { name: each.title })}
          onClick=${() => setPictures(old => old.filter(other => other !== each))} /></li>`)}</ul>
      ${open > 0 && html`<${Progress} label=${t("paint.uploading")} />`}
      <${FileDrop} label=${t("paint.own_more")} onFiles=${add} /></div><//>`;
}

/** The chosen style as a button that opens the shelf: value is its reference, onChoose takes another one. */
export function StyleChoice({ value, onChoose }) {
  const styles = api.useStyles();
  const [choosing, setChoosing] = useState(false);
  const style = styleOf(styles, value);
  return html`<button type="button" class="batch-style" onClick=${() => setChoosing(true)}>
      <${StylePicture} style=${style} />
      <span class="grow"><strong>${styles ? titleOf(style) : ""}</strong><span
        class="small muted">${style ? subtitleOf(style) : ""}</span></span>
      <span class="small batch-change">${t("paint.style_change")}</span></button>
    ${choosing && html`<${Dialog} open wide class="batch-shelf" title=${t("paint.style_choose")}
      onClose=${() => setChoosing(false)}>
      <${Shelf} chosen=${[value]} onChoose=${(ref, browsing) => { onChoose(ref); if (!browsing) setChoosing(false); }} /><//>`}`;
}
