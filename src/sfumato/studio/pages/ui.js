// The controls of the page. Each has a name for screen readers, works by keyboard and shows where the focus is.

import { createStore, html, useEffect, useLayoutEffect, useRef, useState, useStore } from "./lib.js";
import { number, t } from "./i18n.js";
import { Icon } from "./icons.js";

export { Icon };

/** A sentence of the service with its capital and its full stop. */
export const sentence = text => text && text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?。！？…]$/.test(text) ? "" : ".");

let count = 0;
/** An id that no other element has. */
export function useId() {
  const id = useRef(null);
  id.current ??= `u${++count}`;
  return id.current;
}

const names = (...found) => found.filter(Boolean).join(" ");

/** A button; `kind` is primary, plain, quiet or danger. With `href` it is a link. */
export function Button({ kind = "plain", icon, busy = false, big, wide, children, href, class: more, ...others }) {
  const look = names("button", kind, busy && "busy", big && "big", wide && "wide", more);
  const inside = html`${(icon || busy) && html`<${Icon} name=${busy ? "refresh" : icon} size="18" />`}${children}`;
  if (href) return html`<a class=${look} href=${href} ...${others}>${inside}</a>`;
  if (busy) others.disabled = true;
  return html`<button type="button" class=${look} aria-busy=${busy ? "true" : null} ...${others}>${inside}</button>`;
}

/** A button that shows an icon only; `label` is its name, `pressed` makes it a switch. */
export function IconButton({ icon, label, pressed, kind = "quiet", filled, size = 20, href, class: more, ...others }) {
  const all = {
    class: names("button", kind, "only-icon", more), "aria-label": label, title: label,
    "aria-pressed": pressed === undefined ? null : String(Boolean(pressed)), ...others,
  };
  const inside = html`<${Icon} name=${icon} size=${size} filled=${filled} />`;
  return href ? html`<a href=${href} ...${all}>${inside}</a>` : html`<button type="button" ...${all}>${inside}</button>`;
}

/**
 * A slider with its number. `value`, `min`, `max`, `step` and `reset` are in the unit that is shown; `unit` stands behind
 * the number. onInput(value) while it moves, onChange(value) when it is let go.
 */
export function Slider({ label, value, min, max, step = 1, unit = "", reset, onInput, onChange, disabled, text }) {
  const id = useId();
  const range = useRef(null);
  const [draft, setDraft] = useState(null); // what is being typed
  const fill = `${((value - min) / (max - min)) * 100}%`;
  useLayoutEffect(() => { range.current.style.setProperty("--fill", fill); }, [fill]);
  const set = (next, done) => {
    const held = Math.min(max, Math.max(min, Math.round(next / step) * step));
    const found = Number(held.toFixed(4));
    if (found !== value) onInput?.(found);
    if (done) onChange?.(found);
  };
  const typed = () => {
    const found = draft === null ? NaN : Number(draft.replace(",", "."));
    setDraft(null);
    if (draft?.trim() && Number.isFinite(found)) set(found, true);
  };
  const digits = (String(step).split(".")[1] ?? "").length;
  return html`<div class="slider">
    <span class="name"><label for=${id}>${label}</label>
      ${reset !== undefined && reset !== value && !disabled && html`<button type="button" class="reset"
        aria-label=${t("ui.reset", { name: label })} title=${t("ui.reset", { name: label })}
        onClick=${() => { set(reset, true); range.current.focus(); }}><${Icon} name="restore" size="14" /></button>`}
    </span>
    <span class="value"><input inputmode="decimal" aria-label=${t("ui.number_of", { name: label })} disabled=${disabled}
      value=${draft ?? value.toFixed(digits)} onInput=${event => setDraft(event.target.value)} onBlur=${typed}
      onKeyDown=${event => {
        if (event.key === "Enter") typed();
        if (event.key === "Escape" && draft !== null) { event.stopPropagation(); setDraft(null); }
        if (event.key === "ArrowUp" || event.key === "ArrowDown") {
          event.preventDefault();
          setDraft(null);
          set(value + (event.key === "ArrowUp" ? step : -step) * (event.shiftKey ? 10 : 1), true);
        }
      }} />${unit && html`<span class="muted">${unit}</span>`}</span>
    <input ref=${range} id=${id} type="range" min=${min} max=${max} step=${step} value=${value} disabled=${disabled}
      aria-valuetext=${text ?? `${number(value)} ${unit}`.trim()}
      onInput=${event => set(Number(event.target.value), false)} onChange=${event => set(Number(event.target.value), true)}
      onDblClick=${() => { if (reset !== undefined) set(reset, true); }} />
  </div>`;
}

/** One choice of a few, as radio buttons in a row: options [{value, label, icon, disabled}]. */
export function Segmented({ label, options, value, onChange, hidden = false }) {
  const id = useId();
  return html`<div role="radiogroup" aria-labelledby=${id}>
    <div id=${id} class=${hidden ? "hidden-text" : "label"}>${label}</div>
    <div class="segmented">${options.map(each => html`<label key=${each.value} title=${each.hint}>
      <input type="radio" name=${id} value=${String(each.value)} checked=${each.value === value} disabled=${each.disabled}
        onChange=${() => onChange(each.value)} />
      ${each.icon && html`<${Icon} name=${each.icon} size="16" />`}<span>${each.label}</span></label>`)}</div>
  </div>`;
}

/** An option that is on or off. */
export const Switch = ({ label, checked, onChange, ...others }) => html`<label class="switch"><span>${label}</span>
  <input type="checkbox" role="switch" checked=${checked}
    onChange=${event => onChange(event.target.checked)} ...${others} />
</label>`;

/** A box to tick. */
export const Check = ({ label, checked, onChange, ...others }) => html`<label class="check">
  <input type="checkbox" checked=${checked} onChange=${event => onChange(event.target.checked)} ...${others} />
  <span>${label}</span></label>`;

/** A field for text with its label, a hint and an error; `rows` makes it larger. */
export function Field({ label, hint, error, rows, ref: _, ...others }) {
  const id = useId();
  const told = names(hint && `${id}h`, error && `${id}e`) || null;
  const all = { id, class: "input", "aria-describedby": told, "aria-invalid": error ? "true" : null, ...others };
  return html`<div class="field"><label for=${id}>${label}</label>
    ${rows ? html`<textarea rows=${rows} ...${all} />` : html`<input ...${all} />`}
    ${hint && html`<span id="${id}h" class="hint">${hint}</span>`}
    ${error && html`<span id="${id}e" class="error" role="alert">${sentence(error)}</span>`}</div>`;
}

/** A choice of many: options [{value, label}]. */
export function Select({ label, options, value, onChange, hidden = false, ...others }) {
  const id = useId();
  return html`<div class="field"><label for=${id} class=${hidden ? "hidden-text" : null}>${label}</label>
    <select id=${id} class="input" onChange=${event => onChange(event.target.value)} ...${others}>
      ${options.map(each => html`<option key=${each.value} value=${each.value} selected=${each.value === value}>
        ${each.label}</option>`)}</select></div>`;
}

/** A dialog over the page. onClose is called by Escape, by the close button and by a click beside it. */
export function Dialog({ open, title, onClose, wide, actions, children, class: more }) {
  const box = useRef(null);
  const id = useId();
  useEffect(() => {
    const dialog = box.current;
    if (!open || !dialog) return undefined;
    dialog.showModal();
    return () => dialog.close(); // gives the focus back
  }, [open]);
  if (!open) return null;
  return html`<dialog ref=${box} class=${names("dialog", wide && "wide", more)} aria-labelledby=${id}
    onCancel=${event => { event.preventDefault(); onClose(); }}
    onPointerDown=${event => { if (event.target === box.current) onClose(); }}>
    <header><h2 id=${id}>${title}</h2><${IconButton} icon="close" label=${t("ui.close")} onClick=${onClose} /></header>
    <div class="content">${children}</div>
    ${actions && html`<footer>${actions}</footer>`}
  </dialog>`;
}

// Short notes at the foot of the page.

const notes = createStore([]);
const forget = id => notes.set(all => all.filter(each => each.id !== id));

/** Shows a note; with `undo` it has a button that calls it. `kind` "error" stays longer. Returns a function that ends it. */
export function toast(text, { undo, kind = "plain", action, seconds } = {}) {
  const id = ++count;
  const lasting = seconds ?? (kind === "error" ? 12 : undo || action ? 10 : 5);
  notes.set(all => [...all.filter(each => each.text !== text).slice(-2), { id, text, undo, kind, action, lasting }]);
  return () => forget(id);
}

/** Shows an error in its sentence; an interrupted call is none. */
export function toastError(problem) {
  if (problem?.name !== "AbortError") toast(sentence(problem.message), { kind: "error" });
}

function Toast({ note }) {
  const [held, setHeld] = useState(false);
  useEffect(() => {
    if (held) return undefined;
    const timer = setTimeout(() => forget(note.id), note.lasting * 1000);
    return () => clearTimeout(timer);
  }, [held]);
  const does = note.undo ? { label: t("ui.undo"), run: note.undo } : note.action;
  return html`<div class=${names("toast", note.kind)} role=${note.kind === "error" ? "alert" : null}
    onPointerEnter=${() => setHeld(true)} onPointerLeave=${() => setHeld(false)} onFocusIn=${() => setHeld(true)}
    onFocusOut=${() => setHeld(false)}><span>${note.text}</span>
    ${does && html`<${Button} onClick=${() => { forget(note.id); does.run(); }}>${does.label}<//>`}
    <${IconButton} icon="close" label=${t("ui.dismiss")} size="18" onClick=${() => forget(note.id)} /></div>`;
}

/** The place of the notes; once in the page. It lies over dialogs too. */
export function Toasts() {
  const all = useStore(notes);
  const box = useRef(null);
  useEffect(() => {
    const place = box.current;
    if (!place.showPopover) return;
    if (place.matches(":popover-open")) place.hidePopover(); // above a dialog that was opened since
    if (all.length) place.showPopover();
  }, [all]);
  return html`<div ref=${box} class="toasts" popover="manual" role="status" aria-live="polite">
    ${all.map(note => html`<${Toast} key=${note.id} note=${note} />`)}</div>`;
}

// A question before something that cannot be undone.

const asked = createStore(null);

/** Asks and returns whether the reader agreed: await ask({title, text, action, danger}). */
export const ask = question => new Promise(resolve => {
  asked.set({ ...question, answer: yes => { asked.set(null); resolve(yes); } });
});

/** The place of the questions; once in the page. */
export function Asked() {
  const question = useStore(asked);
  if (!question) return null;
  return html`<${Dialog} open title=${question.title} onClose=${() => question.answer(false)} actions=${html`
    <${Button} onClick=${() => question.answer(false)}>${t("ui.cancel")}<//>
    <${Button} kind=${question.danger ? "danger" : "primary"}
      onClick=${() => question.answer(true)}>${question.action}<//>`}>
    <p>${question.text}</p><//>`;
}

/** Moves the focus among `elements` by the arrow keys, Home and End; returns whether it did. */
export function moveFocus(event, elements, { previous = ["ArrowUp", "ArrowLeft"], next = ["ArrowDown", "ArrowRight"] } = {}) {
  const place = elements.indexOf(document.activeElement);
  let to = null;
  if (next.includes(event.key)) to = (place + 1) % elements.length;
  else if (previous.includes(event.key)) to = (place - 1 + elements.length) % elements.length;
  else if (event.key === "Home") to = 0;
  else if (event.key === "End") to = elements.length - 1;
  if (to === null || !elements.length) return false;
  event.preventDefault();
  elements[to].focus();
  return true;
}

/** A button with a menu: items [{label, icon, onSelect, danger, disabled, checked}]. Without children it shows its icon. */
export function Menu({ label, icon = "more", items, kind = "quiet", children, class: more }) {
  const [open, setOpen] = useState(false);
  const button = useRef(null);
  const list = useRef(null);
  const shown = items.filter(Boolean);
  const buttons = () => [...list.current.querySelectorAll("button:not(:disabled)")];
  const close = () => { setOpen(false); button.current?.focus(); };
  useLayoutEffect(() => {
    if (!open) return undefined;
    const menu = list.current;
    menu.showPopover();
    const at = button.current.getBoundingClientRect();
    const size = menu.getBoundingClientRect();
    const below = at.bottom + 4 + size.height < innerHeight || at.top < size.height;
    menu.style.top = `${Math.max(8, below ? at.bottom + 4 : at.top - 4 - size.height)}px`;
    menu.style.left = `${Math.min(Math.max(8, at.left + size.width > innerWidth - 8 ? at.right - size.width : at.left),
      innerWidth - 8 - size.width)}px`;
    buttons()[0]?.focus();
    const leave = event => {
      if (!menu.contains(event.target) && !button.current?.contains(event.target)) setOpen(false);
    };
    document.addEventListener("pointerdown", leave, true);
    return () => document.removeEventListener("pointerdown", leave, true);
  }, [open]);
  return html`
    <button ref=${button} type="button" class=${names("button", kind, !children && "only-icon", more)} aria-haspopup="menu"
      aria-expanded=${String(open)} aria-label=${label} title=${label} onClick=${() => setOpen(!open)}
      onKeyDown=${event => { if (event.key === "ArrowDown") { event.preventDefault(); setOpen(true); } }}>
      <${Icon} name=${icon} size=${children ? 18 : 20} />${children}</button>
    ${open && html`<div ref=${list} class="menu" popover="manual" role="menu" aria-label=${label}
      onKeyDown=${event => {
        if (event.key === "Escape") { event.preventDefault(); event.stopPropagation(); close(); }
        else if (event.key === "Tab") setOpen(false);
        else moveFocus(event, buttons());
      }}>${shown.map(item => html`<button key=${item.label} type="button" tabindex="-1" disabled=${item.disabled}
        role=${item.checked === undefined ? "menuitem" : "menuitemradio"}
        aria-checked=${item.checked === undefined ? null : String(item.checked)} class=${item.danger ? "danger" : null}
        lang=${item.lang} onClick=${() => { close(); item.onSelect(); }}>
        ${(item.icon || item.checked !== undefined) && html`<${Icon}
          name=${item.checked ? "check" : item.icon ?? "minus"} size="18" />`}
        <span>${item.label}</span></button>`)}</div>`}`;
}

/** Tabs: [{id, label}]. The caller shows the panel of `value`, with id `panel-<id>` and role tabpanel if it has one. */
export function Tabs({ label, tabs, value, onChange }) {
  const box = useRef(null);
  return html`<div ref=${box} class="tabs" role="tablist" aria-label=${label}
    onKeyDown=${event => {
      if (moveFocus(event, [...box.current.children])) onChange(tabs[[...box.current.children].indexOf(document.activeElement)].id);
    }}>${tabs.map(tab => html`<button key=${tab.id} type="button" role="tab" id="tab-${tab.id}"
      aria-selected=${String(tab.id === value)} tabindex=${tab.id === value ? 0 : -1} onClick=${() => onChange(tab.id)}>
      ${tab.label}</button>`)}</div>`;
}

/** A bar from 0 to 1; without a value it only moves. */
export function Progress({ value, label }) {
  const known = value !== null && value !== undefined;
  return html`<span class=${names("progress", !known && "unknown")} role="progressbar" aria-label=${label} aria-valuemin="0"
    aria-valuemax="100" aria-valuenow=${known ? Math.round(value * 100) : null}>
    <span style=${known ? { transform: `scaleX(${value})` } : {}} /></span>`;
}

/** What is shown where there is nothing yet. */
export const EmptyState = ({ icon = "picture", title, text, children }) => html`<div class="empty">
  <${Icon} name=${icon} size="40" /><h2>${title}</h2>${text && html`<p>${text}</p>`}${children}</div>`;

/** The pictures' file types that the file chooser offers; the service looks at the content itself. */
export const PICTURES = "image/*,.tif,.tiff,.heic,.avif,.webp";

async function filesIn(entry, found) {
  if (entry.isFile) {
    found.push(await new Promise((resolve, reject) => entry.file(resolve, reject)));
  } else if (entry.isDirectory) {
    const reader = entry.createReader();
    for (;;) { // a reader gives a hundred at a time
      const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!some.length) break;
      for (const each of some) await filesIn(each, found);
    }
  }
}

/** The files of a drop or a paste, with those in dropped folders. */
export async function filesOf(transfer) {
  const entries = [...transfer.items ?? []].map(item => item.webkitGetAsEntry?.()).filter(Boolean);
  const plain = [...transfer.files];
  if (!entries.some(entry => entry.isDirectory)) return plain;
  const found = [];
  for (const entry of entries) await filesIn(entry, found);
  return found.filter(file => !file.name.startsWith("."));
}

/** A place to drop files, and a button to choose them: onFiles([File]). `folder` chooses a whole folder. */
export function FileDrop({
  onFiles, accept = PICTURES, multiple = true, folder = false, label, hint, icon = "upload", children, class: more,
}) {
  const input = useRef(null);
  const [over, setOver] = useState(false);
  const give = files => { if (files.length) onFiles(multiple ? files : files.slice(0, 1)); };
  return html`<button type="button" class=${names("drop", over && "over", more)} onClick=${() => input.current.click()}
    onDragOver=${event => { event.preventDefault(); setOver(true); }} onDragLeave=${() => setOver(false)}
    onDrop=${async event => {
      event.preventDefault();
      event.stopPropagation();
      setOver(false);
      give(await filesOf(event.dataTransfer));
    }}><${Icon} name=${icon} size="28" /><strong>${label}</strong>${hint && html`<span
      class="small">${hint}</span>`}${children}</button>
    <input ref=${input} type="file" hidden accept=${accept} multiple=${multiple} webkitdirectory=${folder}
      onChange=${event => { give([...event.target.files]); event.target.value = ""; }} />`;
}

/** Five stars to rate with: value 1 to 5 or null. */
export function Rating({ label, value, onChange }) {
  const id = useId();
  return html`<div class="rating" role="radiogroup" aria-label=${label}>${[1, 2, 3, 4, 5].map(mark => html`
    <label key=${mark} title=${t("ui.stars", { n: mark })}><input type="radio" name=${id} checked=${value === mark}
      aria-label=${t("ui.stars", { n: mark })} onChange=${() => onChange(mark)}
      onClick=${() => { if (value === mark) onChange(null); }} />
      <${Icon} name="star" size="20" filled=${value >= mark} /></label>`)}</div>`;
}
