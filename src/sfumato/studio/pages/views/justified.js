// A grid of pictures in rows of equal width, of which only the rows near the screen exist: it stays quick with thousands.

import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../lib.js";

/** Lays pictures out in rows: [{top, height, first, widths}], and the height of all. */
export function rowsOf(items, width, target, gap) {
  const rows = [];
  let top = 0;
  let first = 0;
  let ratios = 0;
  const end = (last, height) => {
    const widths = items.slice(first, last).map(item => ratioOf(item) * height);
    rows.push({ top, height, first, widths });
    top += height + gap;
    first = last;
    ratios = 0;
  };
  items.forEach((item, index) => {
    ratios += ratioOf(item);
    const height = (width - gap * (index - first)) / ratios;
    if (height <= target) end(index + 1, height);
  });
  if (first < items.length) end(items.length, Math.min(target, (width - gap * (items.length - first - 1)) / ratios));
  return { rows, height: Math.max(0, top - gap) };
}

// Panoramas and columns are cropped a little: else one of them would make a row of its own.
const ratioOf = item => Math.min(3, Math.max(0.5, item.width / item.height || 1));

/**
 * The grid. `cell(item, index)` draws the inside of a cell; `more()` is called when the end comes near.
 * Arrow keys, Home and End move the focus; `onKey(event, item, index)` gets the other keys.
 */
export function Grid({ items, cell, more, onKey, label, target = 220, gap = 8 }) {
  const box = useRef();
  const [width, setWidth] = useState(0);
  const [view, setView] = useState([0, 1500]);
  const [active, setActive] = useState(0);
  const wanted = useRef(null); // the cell that gets the focus once it is drawn
  const goal = width < 600 ? Math.min(target, 150) : target;
  const layout = useMemo(() => (width ? rowsOf(items, width, goal, gap) : { rows: [], height: 0 }), [items, width, goal]);

  useLayoutEffect(() => {
    const measure = () => setWidth(Math.floor(box.current.clientWidth));
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);

  useEffect(() => {
    let frame = 0;
    const look = () => {
      frame = 0;
      if (!box.current) return;
      const start = -box.current.getBoundingClientRect().top;
      const step = 400; // the view moves in steps, so that scrolling seldom draws
      const top = Math.floor((start - 600) / step) * step;
      setView(old => (old[0] === top ? old : [top, top + innerHeight + 1200 + step]));
      if (more && start + 2 * innerHeight > layout.height) more();
    };
    const soon = () => { frame ||= requestAnimationFrame(look); };
    look();
    addEventListener("scroll", soon, { passive: true, capture: true });
    addEventListener("resize", soon);
    return () => {
      cancelAnimationFrame(frame);
      removeEventListener("scroll", soon, { capture: true });
      removeEventListener("resize", soon);
    };
  }, [layout, more]);

  useLayoutEffect(() => {
    if (wanted.current === null) return;
    const found = box.current.querySelector(`[data-index="${wanted.current}"] [data-main]`);
    if (found) {
      wanted.current = null;
      found.focus();
    }
  });

  const move = index => {
    index = Math.max(0, Math.min(items.length - 1, index));
    const row = layout.rows.findLast(each => each.first <= index);
    if (!row) return;
    wanted.current = index;
    setActive(index);
    const top = box.current.getBoundingClientRect().top + row.top;
    if (top < 80) scrollBy(0, top - 90);
    else if (top + row.height > innerHeight) scrollBy(0, top + row.height - innerHeight + 20);
  };

  const vertical = (index, step) => {
    const at = layout.rows.findLastIndex(each => each.first <= index);
    const here = layout.rows[at];
    const next = layout.rows[at + step];
    if (!next) return index;
    const middle = (row, place) => row.widths.slice(0, place).reduce((sum, each) => sum + each + gap, 0) + row.widths[place] / 2;
    const goalX = middle(here, index - here.first);
    let best = 0;
    next.widths.forEach((_, place) => {
      if (Math.abs(middle(next, place) - goalX) < Math.abs(middle(next, best) - goalX)) best = place;
    });
    return next.first + best;
  };

  const onKeyDown = event => {
    const index = Number(event.target.closest("[data-index]")?.dataset.index ?? -1);
    if (index < 0 || event.altKey || event.target.matches("input:not([type=checkbox]), select")) return;
    const steps = {
      ArrowLeft: () => index - 1, ArrowRight: () => index + 1, Home: () => 0, End: () => items.length - 1,
      ArrowUp: () => vertical(index, -1), ArrowDown: () => vertical(index, 1),
    };
    if (steps[event.key] && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      move(steps[event.key]());
    } else {
      onKey?.(event, items[index], index);
    }
  };

  const current = Math.min(active, Math.max(0, items.length - 1));
  const shown = layout.rows.filter(row =>
    (row.top + row.height > view[0] && row.top < view[1]) || (row.first <= current && current < row.first + row.widths.length));
  return html`<ul class="grid" ref=${box} style=${{ height: `${layout.height}px` }} aria-label=${label} onKeyDown=${onKeyDown}>
    ${shown.flatMap(row => {
      let left = 0;
      return row.widths.map((each, place) => {
        const index = row.first + place;
        const style = { transform: `translate(${left}px, ${row.top}px)`, width: `${each}px`, height: `${row.height}px` };
        left += each + gap;
        return html`<li key=${items[index].id} data-index=${index} style=${style} class=${index === current ? "active" : ""}
          onFocusIn=${() => setActive(index)} aria-setsize=${items.length} aria-posinset=${index + 1}>
          ${cell(items[index], index, index === current ? 0 : -1)}</li>`;
      });
    })}
  </ul>`;
}
