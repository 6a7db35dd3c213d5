// Painting: a photo, a style, a draft, settings, the painting, and what one does with it.

import { createSavedStore, html, useEffect, useLayoutEffect, useRef, useState, useStore } from "../lib.js";
import { number, percent, t } from "../i18n.js";
import * as api from "../api.js";
import { Button, Dialog, FileDrop, Icon, IconButton, PICTURES, Progress, Segmented, toast, toastError } from "../ui.js";
import { useKeys } from "../keys.js";
import {
  canPaint, change, changeWork, closePhoto, finishPainted, finishSteps, keysOf, localUrl, masksOf, openPhoto, paintWhole, state, workOf,
} from "../paint/state.js";
import { Pane, ZoomLevel, createView } from "../paint/stage.js";
import { usePreview } from "../paint/preview.js";
import { storeRest, useMask } from "../paint/mask.js";
import { Shelf, StylePicture } from "../paint/shelf.js";
import { Chosen, Details, FinishControls, Look, QualityChoice } from "../paint/controls.js";
import { Failure, JobBar, ResultBar, ShareRecipe, retry } from "../paint/result.js";
import { Variants } from "../paint/variants.js";
import { allStyles, inWords, isPainted, settingsOf, titleOf } from "../paint/recipe.js";
import { offered, takeIn, uploads, useDrops } from "../paint/intake.js";

/** How before and after are shown: "slide", "side" or "after". */
const look = createSavedStore("sfumato.look", "slide");

function useNarrow() {
  const query = useRef(matchMedia("(max-width: 900px)")).current;
  const [narrow, setNarrow] = useState(query.matches);
  useEffect(() => {
    const tell = () => setNarrow(query.matches);
    query.addEventListener("change", tell);
    return () => query.removeEventListener("change", tell);
  }, []);
  return narrow;
}

/** Opens what the address names: a photo, or a painting with its settings. */
async function openNamed(query) {
  if (query.photo) return openPhoto(query.photo);
  if (!query.picture) return undefined;
  try {
    const picture = await api.picture(query.picture);
    const styles = api.styles.get() ?? await api.loadStyles();
    const photo = picture.photo && await api.picture(picture.photo).catch(() => null);
    if (isPainted(picture) && photo && !photo.gone) {
      const settings = settingsOf(picture, styles);
      const { mask } = workOf(state.get(), photo.id);
      const keys = keysOf(photo.id, settings, mask);
      const plain = finishSteps(settings.finish).length === 0;
      openPhoto(photo.id);
      change({ settings });
      changeWork(photo.id, { result: picture.id, resultKey: keys.whole, resultSettings: settings, resultMask: mask ?? null, base: plain ? picture.id : null, baseKey: keys.paint, error: null });
    } else {
      openPhoto(picture.id);
      if (isPainted(picture)) offered.set({ picture, instead: false });
    }
  } catch (problem) {
    toastError(problem);
  }
  return undefined;
}

export default function PaintView({ route }) {
  const narrow = useNarrow();
  const value = useStore(state);
  const coming = useStore(uploads);
  const photo = api.usePicture(value.photo);
  const [over, setOver] = useState(false);
  useDrops(setOver);
  useEffect(() => { openNamed(route.query); }, [route.query.photo, route.query.picture]);
  useEffect(() => {
    if (value.photo && location.hash.startsWith("#/paint")) history.replaceState(null, "", `#/paint?photo=${value.photo}`);
  }, [value.photo]);
  useEffect(() => { if (photo?.gone) closePhoto(photo.id); }, [photo]);
  const there = photo && !photo.gone;
  return html`<div class="paint ${narrow ? "narrow" : "wide"} ${over ? "over" : ""}">
    <h1 class="hidden-text">${t("app.paint")}</h1>
    ${there ? html`<${Studio} photo=${photo} value=${value} narrow=${narrow} />` : html`<${Welcome} coming=${coming} narrow=${narrow} value=${value} />`}
    ${over && html`<div class="drop-over" aria-hidden="true"><${Icon} name="upload" size="40" /><strong>${t("paint.drop_here")}</strong></div>`}
  </div>`;
}

/** Before there is a photo. */
function Welcome({ coming, narrow, value }) {
  const recent = api.useLoaded(signal => api.listPictures({ kind: "photo", limit: 6 }, signal), []).value?.items ?? [];
  const [first] = coming;
  return html`
    ${!narrow && html`<aside class="left" aria-label=${t("paint.styles")}><${Shelf} chosen=${value.settings.styles.map(each => each.style)} onChoose=${chooseFirst} /></aside>`}
    <section class="welcome">${first ? html`<div class="pending">${first.url && html`<img src=${first.url} alt="" />`}
      <p class="small">${t("paint.uploading_name", { name: first.name })}</p><${Progress} value=${first.progress} label=${t("paint.uploading")} /></div>`
    : html`<div class="welcome-inside"><${FileDrop} class="welcome-drop" label=${t(narrow ? "paint.welcome_touch" : "paint.welcome")} hint=${t(narrow ? "paint.welcome_hint_touch" : "paint.welcome_hint")} icon="picture" onFiles=${takeIn}>
        <span class="button primary big" aria-hidden="true">${t("paint.choose_photos")}</span><//>
      ${recent.length > 0 && html`<div><h2 class="label muted">${t("paint.recent")}</h2><ul class="strip">${recent.map(each => html`<li key=${each.id}>
        <button type="button" class="strip-item" onClick=${() => openPhoto(each.id)}><img src=${each.thumb} alt=${t("paint.open_photo", { name: each.title })} /></button></li>`)}</ul></div>`}
      </div>`}</section>`;
}

const chooseFirst = style => state.set(old => ({ ...old, settings: { ...old.settings, styles: [{ style, weight: 1 }], recipeOf: null } }));

/** The studio with a photo in it. */
function Studio({ photo, value, narrow }) {
  const { settings } = value;
  const work = workOf(value);
  const styles = api.useStyles();
  const [view] = useState(createView);
  const [active, setActive] = useState(0);
  const [masking, setMasking] = useState(false);
  const [picking, setPicking] = useState(false);
  const [variants, setVariants] = useState(false);
  const [sharing, setSharing] = useState(false);
  const [starting, setStarting] = useState(false);
  const [peek, setPeek] = useState(false);
  const mode = useStore(look);
  const job = api.useJob(work.job);
  const coming = useStore(uploads);

  const keys = keysOf(photo.id, settings, work.mask);
  const isResult = Boolean(work.result) && work.resultKey === keys.whole;
  const canFinish = !isResult && Boolean(work.base) && work.baseKey === keys.paint && finishSteps(settings.finish).length > 0;
  const atBase = !isResult && !canFinish && Boolean(work.base) && work.baseKey === keys.paint;
  const preview = usePreview(photo.id, settings, work, isResult || canFinish || atBase);
  const result = api.usePicture(isResult ? work.result : canFinish || atBase ? work.base : null);
  useEffect(() => { // it was deleted
    if (result?.gone) changeWork(photo.id, { result: null, resultKey: null, base: null });
  }, [result]);
  const painted = result && !result.gone ? result : null;
  const drafted = preview.photo === photo.id ? preview.picture : null;
  const shown = painted ?? (canPaint(settings) ? drafted : null);

  const large = painted && !masking ? painted : photo;
  useLayoutEffect(() => view.setSize(large.width, large.height), [photo.id, large.width, large.height]);
  useLayoutEffect(() => view.showFit(), [photo.id]);

  const { tool, bar } = useMask(photo, work.mask, masking);

  const choose = (style, browsing = false) => {
    const parts = [...settings.styles];
    const place = Math.min(active, parts.length);
    parts[place] = { style, weight: parts[place]?.weight ?? (parts.length ? 0.5 : 1) };
    if (parts.length === 1) parts[0].weight = 1;
    state.set(old => ({ ...old, settings: { ...old.settings, styles: parts, recipeOf: null } }));
    if (!browsing) setPicking(false);
  };
  const begin = async f => {
    setStarting(true);
    try {
      await f();
    } catch (problem) {
      toastError(problem);
    } finally {
      setStarting(false);
    }
  };
  const busy = starting || Boolean(job && !api.hasEnded(job));
  const masks = masksOf(work, settings);
  useEffect(() => { if (!masks) storeRest(photo, work.mask).catch(toastError); }, [work.mask, Boolean(masks)]);
  const paint = () => { if (!busy && masks && canPaint(settings)) begin(paintWhole); };

  useKeys({
    "ctrl+enter": paint, "0": view.showFit, "1": () => view.showReal(),
    "+": () => view.zoomTo(view.scale * 1.25, undefined, undefined, true), "=": () => view.zoomTo(view.scale * 1.25, undefined, undefined, true),
    "-": () => view.zoomTo(view.scale / 1.25, undefined, undefined, true), b: () => setPeek(true),
    v: () => setVariants(true), m: () => setMasking(now => !now),
  });
  useEffect(() => {
    const release = event => { if (event.key.toLowerCase() === "b") setPeek(false); };
    addEventListener("keyup", release);
    return () => removeEventListener("keyup", release);
  }, []);

  const before = { src: localUrl(photo.id) ?? photo.file, fallback: localUrl(photo.id) ?? photo.thumb, alt: t("paint.alt_photo", { name: photo.title }), whole: true };
  const after = shown && { src: shown.file, whole: Boolean(painted), alt: t("paint.alt_painting", { words: inWords(settings, styles, t("paint.a_picture")) }) };
  const filter = canFinish && painted ? "url(#warmth) " + cssFilter(settings.finish) : null;
  const label = painted ? t(canFinish ? "paint.label_finish" : "paint.label_painting", { width: painted.width, height: painted.height })
    : after ? t("paint.label_draft") : null;
  const side = mode === "side" && after && !masking;

  const stage = html`<section class="stage ${peek ? "peek" : ""}" aria-label=${t("paint.picture")}>
    <${WarmthFilter} warmth=${filter ? settings.finish.warmth : 0} />
    <div class="panes ${side ? "side" : ""}">
      ${side ? html`<${Pane} key="a${photo.id}" view=${view} before=${before} label=${t("paint.photo")} />
        <${Pane} key="b${photo.id}" view=${view} after=${after} filter=${filter} label=${label} />`
      : html`<${Pane} key=${photo.id} view=${view} before=${!after || (!masking && (mode === "slide" || peek)) ? before : null} after=${after} filter=${filter} label=${peek ? t("paint.photo") : label} tool=${tool} />`}
    </div>
    <p class="hidden-text" role="status">${preview.busy ? t("paint.drafting") : label ?? ""}</p>
    ${preview.busy && html`<p class="working" aria-hidden="true"><span class="spinner" />${t("paint.drafting")}</p>`}
    ${!canPaint(settings) && html`<p class="stage-hint">${t("paint.choose_style_hint")}</p>`}
    <div class="stage-tools" role="toolbar" aria-label=${t("paint.picture_tools")}>
      <${Segmented} hidden label=${t("paint.look")} value=${mode} onChange=${look.set} options=${[
        { value: "slide", label: t("paint.look_slide"), icon: "compare" }, { value: "side", label: t("paint.look_side"), icon: "columns" },
        { value: "after", label: t("paint.look_after"), icon: "picture" }]} />
      <span class="zooms">
        <${IconButton} icon="minus" label=${t("paint.zoom_out")} onClick=${() => view.zoomTo(view.scale / 1.5, undefined, undefined, true)} />
        <${ZoomLevel} view=${view} />
        <${IconButton} icon="plus" label=${t("paint.zoom_in")} onClick=${() => view.zoomTo(view.scale * 1.5, undefined, undefined, true)} />
        <${IconButton} icon="fit" label=${t("paint.zoom_fit")} onClick=${view.showFit} />
        <${Button} kind="quiet" class="one-to-one" aria-label=${t("paint.zoom_real")} title=${t("paint.zoom_real")} onClick=${() => view.showReal()}>1:1<//>
      </span>
      ${work.result && work.resultSettings && !isResult && !masking && html`<${Button} kind="quiet" icon="undo" title=${t("paint.back_hint")} onClick=${() => {
        change({ settings: work.resultSettings });
        changeWork(photo.id, { mask: work.resultMask });
      }}><span class="tool-text">${t("paint.back")}</span><//>`}
      <${Button} kind="quiet" icon="grid" disabled=${!canPaint(settings)} onClick=${() => setVariants(true)}><span class="tool-text">${t("paint.variants")}</span><//>
    </div>
  </section>`;

  const notices = html`<div class="notices">
    <${Offer} styles=${styles} photo=${photo} />
    ${preview.error && html`<${Failure} text=${preview.error.message} onAgain=${preview.again} />`}
    ${work.error && html`<${Failure} text=${work.error} onAgain=${work.failed && (() => retry(photo.id, work))} onClose=${() => changeWork(photo.id, { error: null })} />`}
  </div>`;
  const under = html`<div class="under">
    ${job && !api.hasEnded(job) ? html`<${JobBar} key=${job.id} job=${job} />` : isResult && painted ? html`<${ResultBar} picture=${painted} settings=${settings} onShare=${() => setSharing(true)} />` : null}
    <${Strip} value=${value} coming=${coming} /></div>`;

  const chosen = html`<${Chosen} settings=${settings} active=${active} setActive=${setActive} masked=${Boolean(work.mask)} onPick=${narrow ? () => setPicking(true) : null} />`;
  const maskRow = html`<div class="stack tight"><div class="row spread"><span class="label">${t("paint.mask")}</span>
      <${Button} icon="brush" aria-pressed=${String(masking)} disabled=${settings.styles.length > 2} onClick=${() => setMasking(!masking)}>
        ${masking ? t("paint.mask_done") : work.mask ? t("paint.mask_edit") : t("paint.mask_begin")}<//></div>
      ${settings.styles.length > 2 && html`<p class="small muted">${t("paint.mask_two")}</p>`}
      ${!masking && work.mask && html`<div class="row spread"><span class="small muted">${t(settings.styles.length > 1 ? "paint.mask_on_two" : "paint.mask_on")}</span>
        <${Button} kind="quiet" icon="trash" onClick=${() => {
          const old = work.mask;
          changeWork(photo.id, { mask: null });
          toast(t("paint.mask_removed"), { undo: () => changeWork(photo.id, { mask: old }) });
        }}>${t("ui.remove")}<//></div>`}
      ${bar}</div>`;
  const finish = html`<${FinishControls} settings=${settings} apply=${canFinish && painted ? () => begin(finishPainted) : null} busy=${busy} />`;
  const button = html`<${Button} kind="primary" big wide icon="brush" busy=${busy} disabled=${!canPaint(settings) || !masks} onClick=${paint}>${t("paint.paint_whole")}<//>`;
  const share = html`<${Button} kind="quiet" icon="share" onClick=${() => setSharing(true)}>${t("paint.share")}<//>`;
  const dialogs = html`
    ${variants && html`<${Variants} photo=${photo} mask=${work.mask ?? null} onClose=${() => setVariants(false)} />`}
    ${sharing && html`<${ShareRecipe} onClose=${() => setSharing(false)} />`}
    ${picking && html`<${Dialog} open wide class="picker" title=${t("paint.style_choose")} onClose=${() => setPicking(false)}>
      <${Shelf} chosen=${settings.styles.map(each => each.style)} current=${settings.styles[active]?.style} onChoose=${choose} /><//>`}`;

  if (narrow) {
    return html`<div class="middle">${notices}${stage}${under}</div>
      <${Sheet} masking=${masking}>
        <div class="sheet-first">${masking ? maskRow : html`<${QuickStyles} styles=${styles} chosen=${settings.styles.map(each => each.style)} onChoose=${choose} onAll=${() => setPicking(true)} />
          ${button}`}</div>
        <div class="stack sheet-rest">${!masking && html`<${Look} settings=${settings} />${chosen}${maskRow}<${QualityChoice} settings=${settings} />${finish}<${Details} settings=${settings} />${share}`}</div>
      <//>${dialogs}`;
  }
  return html`
    <aside class="left" aria-label=${t("paint.styles")}><${Shelf} chosen=${settings.styles.map(each => each.style)} current=${settings.styles[active]?.style} onChoose=${choose} /></aside>
    <div class="middle">${notices}${stage}${under}</div>
    <aside class="right" aria-label=${t("paint.settings")}><div class="right-scroll stack">
      ${chosen}<${Look} settings=${settings} />${maskRow}<${QualityChoice} settings=${settings} />${finish}<${Details} settings=${settings} />${share}</div>
      <div class="right-foot">${button}</div></aside>${dialogs}`;
}

/** Finishing as the browser can show it at once; the service does it exactly. */
const cssFilter = finish => `brightness(${1 + finish.brightness * 0.004}) contrast(${1 + finish.contrast * 0.005}) saturate(${1 + finish.saturation * 0.01})`;

function WarmthFilter({ warmth }) {
  const gain = stops => 2 ** (stops * warmth / 100);
  return html`<svg width="0" height="0" class="hidden-text" aria-hidden="true"><filter id="warmth" color-interpolation-filters="linearRGB">
    <feColorMatrix type="matrix" values=${`${gain(0.1)} 0 0 0 0 0 ${gain(-0.1)} 0 0 0 0 0 ${gain(-0.35)} 0 0 0 0 0 1 0`} /></filter></svg>`;
}

/** A picture with a recipe was dropped: its settings in a sentence, and a button that takes them. */
function Offer({ styles, photo }) {
  const offer = useStore(offered);
  if (!offer || !styles) return null;
  const { picture, instead } = offer;
  const settings = settingsOf(picture, styles);
  const use = () => {
    const before = state.get().settings;
    change({ settings });
    offered.set(null);
    toast(t("paint.recipe_taken", { words: inWords(settings, styles, picture.title) }), { undo: () => change({ settings: before }) });
  };
  return html`<div class="offer" role="status"><img src=${picture.thumb} alt="" width="48" height="48" />
    <p class="grow">${t("paint.offer", { words: inWords(settings, styles, picture.recipe.styles[0]?.name) })}</p>
    <${Button} kind="primary" onClick=${use}>${t("paint.offer_use")}<//>
    ${instead && picture.id !== photo.id && html`<${Button} kind="quiet" onClick=${() => { openPhoto(picture.id); offered.set(null); }}>${t("paint.offer_paint")}<//>`}
    <${IconButton} icon="close" label=${t("ui.dismiss")} onClick=${() => offered.set(null)} /></div>`;
}

/** The photos that are open, and a button for more. */
function Strip({ value, coming }) {
  const input = useRef(null);
  return html`<ul class="strip" aria-label=${t("paint.photos")}>
    ${value.photos.map(id => html`<${StripItem} key=${id} id=${id} now=${id === value.photo} />`)}
    ${coming.map(each => html`<li key=${each.url ?? each.name} class="strip-item coming" title=${each.name}>${each.url && html`<img src=${each.url} alt=${each.name} />`}<${Progress} value=${each.progress} label=${t("paint.uploading_name", { name: each.name })} /></li>`)}
    <li><button type="button" class="strip-item add" aria-label=${t("paint.add_photos")} title=${t("paint.add_photos")} onClick=${() => input.current.click()}><${Icon} name="plus" /></button>
      <input ref=${input} type="file" hidden multiple accept=${PICTURES} onChange=${event => { takeIn([...event.target.files]); event.target.value = ""; }} /></li></ul>`;
}

function StripItem({ id, now }) {
  const picture = api.usePicture(id);
  useEffect(() => { if (picture?.gone) closePhoto(id); }, [picture]);
  const name = picture?.title ?? "";
  return html`<li class="strip-place"><button type="button" class="strip-item" aria-current=${now ? "true" : null} onClick=${() => openPhoto(id)} title=${name}>
    ${picture?.thumb && html`<img src=${picture.thumb} alt=${t("paint.open_photo", { name })} />`}</button>
    <${IconButton} class="strip-close" icon="close" size="14" kind="plain" label=${t("paint.close_photo", { name })} onClick=${() => closePhoto(id)} /></li>`;
}

/** On a phone: styles in one row. */
function QuickStyles({ styles, chosen, onChoose, onAll }) {
  const all = allStyles(styles).filter(each => each.learnt !== false);
  const row = useRef(null);
  useEffect(() => { row.current?.querySelector("[aria-pressed=true]")?.scrollIntoView({ block: "nearest", inline: "center" }); }, [Boolean(styles)]);
  return html`<div ref=${row} class="quick-styles"><button type="button" class="quick all" onClick=${onAll}><span class="no-picture"><${Icon} name="search" /></span><span>${t("paint.all_styles")}</span></button>
    ${all.map(style => html`<button key=${style.ref} type="button" class="quick" aria-pressed=${String(chosen.includes(style.ref))} onClick=${() => onChoose(style.ref)}>
      <${StylePicture} style=${style} /><span class="ellipsis">${titleOf(style)}</span></button>`)}</div>`;
}

/** On a phone: the controls in a sheet that is pulled up. */
function Sheet({ children, masking }) {
  const [open, setOpen] = useState(false);
  const box = useRef(null);
  const drag = useRef(null);
  useEffect(() => { if (masking) setOpen(false); }, [masking]);
  const move = event => {
    if (!drag.current) return;
    const by = event.clientY - drag.current.y;
    if (Math.abs(by) > 30) { setOpen(by < 0); drag.current = null; }
  };
  return html`<section ref=${box} class="sheet-panel ${open ? "open" : ""} ${masking ? "masking" : ""}" aria-label=${t("paint.settings")}>
    <button type="button" class="sheet-handle" aria-expanded=${String(open)} aria-label=${t(open ? "paint.sheet_less" : "paint.sheet_more")} onClick=${() => setOpen(!open)}
      onPointerDown=${event => { drag.current = { y: event.clientY }; event.target.setPointerCapture(event.pointerId); }} onPointerMove=${move}
      onPointerUp=${() => { drag.current = null; }}><span class="grip" /><span class="small">${t(open ? "paint.sheet_less" : "paint.sheet_more")}</span></button>
    <div class="sheet-scroll">${children}</div></section>`;
}
