// The picture: before and after in two stacked images, zoom and pan. Sliding and panning only change transforms, so that
// the browser moves finished layers and never draws the picture again; sizes change when a zoom has come to rest.

import { html, useEffect, useLayoutEffect, useRef, useState } from "../lib.js";
import { percent, t } from "../i18n.js";

const MOST = 8; // device pixels per pixel of the picture
const REST = 140; // ms without zooming after which the picture is laid out at its new size

/** Where the picture lies: scale in CSS pixels per pixel, centre as shares of the picture; `fit` follows the window. */
export function createView() {
  const view = {
    scale: 1, x: 0.5, y: 0.5, fit: true, split: 0.5, laid: 0, width: 1, height: 1, panes: new Set(), listeners: new Set(),
  };
  let rest = 0;
  const pixel = () => 1 / devicePixelRatio;
  const size = () => {
    const [pane] = view.panes;
    return pane ? pane.box : { width: 1, height: 1 };
  };
  view.fitScale = () => {
    const box = size();
    return Math.max(0.001, Math.min(box.width / view.width, box.height / view.height, 3 * pixel()));
  };
  const clamp = () => {
    const box = size();
    for (const [name, side, length] of [["x", box.width, view.width], ["y", box.height, view.height]]) {
      const half = side / 2 / (view.scale * length); // share of the picture that half of the window shows
      view[name] = half >= 0.5 ? 0.5 : Math.min(1 - half, Math.max(half, view[name]));
    }
  };
  view.apply = (settle = true) => {
    if (view.fit) view.scale = view.fitScale();
    clamp();
    if (settle || !view.laid || view.fit) view.laid = view.scale;
    else {
      clearTimeout(rest);
      rest = setTimeout(() => view.apply(true), REST);
    }
    for (const pane of view.panes) pane.place(view);
    for (const listener of view.listeners) listener();
  };
  view.setSize = (width, height) => {
    if (view.width === width && view.height === height) return;
    // The same part stays in sight when a larger picture takes the place of a smaller one.
    view.scale *= view.width / width;
    view.width = width;
    view.height = height;
    view.laid = 0;
    view.apply();
  };
  /** Zooms so that the point (px, py) of the pane stays where it is. */
  view.zoomTo = (scale, px, py, settle = false) => {
    const box = size();
    const least = Math.min(view.fitScale(), pixel());
    const to = Math.min(MOST * pixel(), Math.max(least, scale));
    const [dx, dy] = [(px ?? box.width / 2) - box.width / 2, (py ?? box.height / 2) - box.height / 2];
    view.x += (dx / view.scale - dx / to) / view.width;
    view.y += (dy / view.scale - dy / to) / view.height;
    view.scale = to;
    view.fit = Math.abs(to / view.fitScale() - 1) < 0.001;
    view.apply(settle);
  };
  view.panBy = (dx, dy) => {
    view.x -= dx / (view.scale * view.width);
    view.y -= dy / (view.scale * view.height);
    view.apply(false);
  };
  view.showFit = () => { view.fit = true; view.x = view.y = 0.5; view.apply(); };
  view.showReal = (px, py) => view.zoomTo(pixel(), px, py, true);
  view.setSplit = share => { view.split = Math.min(1, Math.max(0, share)); view.apply(false); };
  view.isZoomed = () => view.scale > view.fitScale() * 1.01;
  return view;
}

/** Shows an address once it is loaded and decoded; the picture before stays until then. */
function useDecoded(src, fallback) {
  const [shown, setShown] = useState(fallback ?? null);
  useEffect(() => {
    if (!src) { setShown(null); return undefined; }
    let current = true;
    const image = new Image();
    image.src = src;
    image.decode().then(() => current && setShown(src), () => current && fallback && setShown(fallback));
    return () => { current = false; };
  }, [src]);
  return shown ?? fallback;
}

function Picture({ src, fallback, alt, filter, whole }) {
  const shown = useDecoded(src, fallback);
  return shown && html`<img src=${shown} alt=${alt} class=${whole ? "whole" : null} draggable="false"
    style=${filter ? { filter } : {}} />`;
}

/**
 * One window on the picture. `before` and `after` are {src, fallback, alt}; with both there is a line between them that
 * moves. `tool` (the mask brush) takes the pointer when it is given: {down, move, up, hover, children}.
 */
export function Pane({ view, before, after, filter, label, tool }) {
  const pane = useRef(null);
  const canvas = useRef(null);
  const clip = useRef(null);
  const inner = useRef(null);
  const line = useRef(null);
  const name = useRef(null);
  const both = Boolean(before && after);
  const here = useRef({ box: { width: 1, height: 1, left: 0, top: 0 }, pointers: new Map() }).current;

  here.place = now => {
    const { box } = here;
    const k = now.scale / now.laid;
    const [width, height] = [now.width * now.scale, now.height * now.scale];
    const left = box.width / 2 - now.x * width;
    const top = box.height / 2 - now.y * height;
    const sheet = canvas.current;
    if (!sheet) return;
    if (here.laid !== now.laid || here.wide !== now.width) {
      sheet.style.width = `${now.width * now.laid}px`;
      sheet.style.height = `${now.height * now.laid}px`;
      here.laid = now.laid;
      here.wide = now.width;
    }
    sheet.style.transform = `translate3d(${left}px, ${top}px, 0) scale(${k})`;
    sheet.classList.toggle("pixels", now.scale * devicePixelRatio >= 3);
    here.left = Math.max(0, left);
    here.right = Math.min(box.width, left + width);
    here.bottom = Math.min(box.height, top + height);
    const seen = here.bottom - Math.max(0, top);
    if (line.current && here.seen !== seen) line.current.style.height = `${seen}px`;
    here.top = Math.max(0, top);
    here.seen = line.current ? seen : null;
    if (clip.current) {
      const x = both ? here.left + now.split * (here.right - here.left) : -1;
      const at = both ? (x - left) / k : 0;
      clip.current.style.transform = `translate3d(${at}px, 0, 0)`;
      inner.current.style.transform = `translate3d(${-at}px, 0, 0)`;
      if (line.current) line.current.style.transform = `translate3d(${x}px, ${here.top}px, 0)`;
    }
    if (name.current) name.current.style.transform = `translate3d(${here.left}px, ${here.bottom - box.height}px, 0)`;
  };

  useLayoutEffect(() => {
    view.panes.add(here);
    const measure = () => {
      if (!pane.current) return;
      here.box = pane.current.getBoundingClientRect();
      view.apply();
    };
    const watcher = new ResizeObserver(measure);
    watcher.observe(pane.current);
    measure();
    return () => { watcher.disconnect(); view.panes.delete(here); };
  }, [view]);
  useLayoutEffect(() => { here.laid = 0; here.seen = null; view.apply(); }, [both, Boolean(label), Boolean(tool)]);

  // Wheel and touch must be able to keep the page from scrolling, which needs listeners that are not passive.
  useEffect(() => {
    const wheel = event => {
      event.preventDefault();
      const box = pane.current.getBoundingClientRect();
      const step = event.deltaY * (event.deltaMode === 1 ? 30 : 1) * (event.ctrlKey ? 0.01 : 0.0018);
      view.zoomTo(view.scale * Math.exp(-Math.max(-0.6, Math.min(0.6, step))), event.clientX - box.left, event.clientY - box.top);
    };
    const node = pane.current;
    node.addEventListener("wheel", wheel, { passive: false });
    return () => node.removeEventListener("wheel", wheel);
  }, [view]);

  const at = event => {
    const box = pane.current.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const slide = x => view.setSplit((x - here.left) / Math.max(1, here.right - here.left));
  const share = event => {
    const box = canvas.current.getBoundingClientRect();
    return { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height };
  };
  const down = event => {
    if (event.button > 1) return;
    pane.current.setPointerCapture(event.pointerId);
    here.pointers.set(event.pointerId, at(event));
    if (here.pointers.size === 2) {
      tool?.up(true);
      here.drag = "pinch";
    } else if (event.target.closest(".split")) here.drag = "split";
    else if (tool && event.button === 0) { here.drag = "tool"; tool.down(share(event), event); }
    else if (both && !view.isZoomed()) { here.drag = "split"; slide(at(event).x); }
    else here.drag = "pan";
    pane.current.classList.toggle("dragging", here.drag === "pan");
  };
  const move = event => {
    if (tool) tool.hover(at(event), view.scale * Math.max(view.width, view.height));
    const old = here.pointers.get(event.pointerId);
    if (!old) return;
    const now = at(event);
    if (here.drag === "tool") {
      for (const each of event.getCoalescedEvents?.() ?? [event]) tool.move(share(each), each);
    } else if (here.drag === "split") slide(now.x);
    else if (here.drag === "pan") view.panBy(now.x - old.x, now.y - old.y);
    else if (here.drag === "pinch" && here.pointers.size === 2) {
      const [other] = [...here.pointers].filter(([id]) => id !== event.pointerId).map(([, point]) => point);
      const [a, b] = [Math.hypot(old.x - other.x, old.y - other.y), Math.hypot(now.x - other.x, now.y - other.y)];
      view.panBy((now.x - old.x) / 2, (now.y - old.y) / 2);
      if (a > 8) view.zoomTo(view.scale * (b / a), (now.x + other.x) / 2, (now.y + other.y) / 2);
    }
    here.pointers.set(event.pointerId, now);
  };
  const up = event => {
    if (!here.pointers.delete(event.pointerId)) return;
    if (here.drag === "tool") tool?.up(false);
    if (!here.pointers.size) here.drag = null;
    pane.current.classList.remove("dragging");
  };
  const twice = event => {
    if (tool || event.target.closest(".split")) return;
    const { x, y } = at(event);
    if (view.isZoomed()) view.showFit();
    else view.showReal(x, y);
  };
  const step = event => {
    const by = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 }[event.key];
    if (by) view.setSplit(view.split + by * (event.shiftKey ? 0.1 : 0.02));
    else if (event.key === "Home") view.setSplit(0);
    else if (event.key === "End") view.setSplit(1);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  return html`<div ref=${pane} class="pane ${tool ? "with-tool" : ""}" onPointerDown=${down} onPointerMove=${move}
    onPointerUp=${up}
    onPointerCancel=${up} onPointerLeave=${() => tool?.hover(null)} onDblClick=${twice}>
    <div ref=${canvas} class="sheet">
      ${before && html`<div class="layer"><${Picture} ...${before} /></div>`}
      ${after && html`<div ref=${clip} class="layer clip"><div ref=${inner} class="layer"><${Picture} ...${after}
        filter=${filter} /></div></div>`}
      ${tool?.children}
    </div>
    ${both && !tool && html`<div ref=${line} class="split"><${SplitHandle} view=${view} onKeyDown=${step} /></div>`}
    ${tool?.cursor}
    ${label && html`<span ref=${name} class="pane-label">${label}</span>`}
  </div>`;
}

function SplitHandle({ view, onKeyDown }) {
  const handle = useRef(null);
  useEffect(() => {
    const tell = () => {
      if (!handle.current) return; // it is about to be removed
      const now = Math.round(view.split * 100);
      if (handle.current.ariaValueNow !== String(now)) {
        handle.current.ariaValueNow = String(now);
        handle.current.ariaValueText = t("paint.split_value", { share: percent(now / 100) });
      }
    };
    tell();
    view.listeners.add(tell);
    return () => view.listeners.delete(tell);
  }, [view]);
  return html`<span ref=${handle} class="split-handle" role="slider" tabindex="0" aria-label=${t("paint.split")}
    aria-valuemin="0"
    aria-valuemax="100" onKeyDown=${onKeyDown}><svg width="20" height="20" viewBox="0 0 24 24" class="icon"
      aria-hidden="true">
    <path d="M9 7l-5 5 5 5M15 7l5 5-5 5" /></svg></span>`;
}

/** The zoom as a text that follows the view. */
export function ZoomLevel({ view }) {
  const box = useRef(null);
  useEffect(() => {
    const tell = () => { if (box.current) box.current.textContent = percent(view.scale * devicePixelRatio); };
    tell();
    view.listeners.add(tell);
    return () => view.listeners.delete(tell);
  }, [view]);
  return html`<span ref=${box} class="zoom-level number small muted"></span>`;
}
