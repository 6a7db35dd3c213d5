// The page: a photo, a style, a painting. All of it happens on the reader's device.

import { Icon } from "../shared/icons.js";
import { html, render, useEffect, useState, useStore } from "../shared/lib.js";
import { LANGUAGES, chooseLanguage, has, language, startTexts, t, useLanguage } from "../shared/i18n.js";
import { addStyle, openPhoto, start } from "./engine.js";
import { Settings, Styles } from "./panel.js";
import { Stage, Welcome } from "./stage.js";
import { offline, painterState, photo, problem, theme } from "./state.js";

const dark = matchMedia("(prefers-color-scheme: dark)");
let installer = null; // the browser's offer to install the page

theme.subscribe(showTheme);
function showTheme() {
  if (theme.get()) document.documentElement.dataset.theme = theme.get();
  else delete document.documentElement.dataset.theme;
}

function Header() {
  useLanguage();
  const isDark = (useStore(theme) ?? (dark.matches ? "dark" : "light")) === "dark";
  const kept = useStore(offline);
  const [offered, setOffered] = useState(Boolean(installer));
  useEffect(() => {
    const hear = event => {
      event.preventDefault();
      installer = event;
      setOffered(true);
    };
    addEventListener("beforeinstallprompt", hear);
    return () => removeEventListener("beforeinstallprompt", hear);
  }, []);
  const install = async () => {
    await installer.prompt();
    installer = null;
    setOffered(false);
  };
  const other = language.get() === "en" ? "zh" : "en";
  return html`<header class="top">
    <span class="brand"><img src="./icon.svg" alt="" />Sfumato</span>
    <p class="muted small where"><${Icon} name="check" size=${16} />${t(kept ? "header.offline" : "header.local")}</p>
    <div class="end">
      ${offered && html`<button type="button" class="button"
        onClick=${install}><${Icon} name="download" size=${18} />${t("header.install")}</button>`}
      <button type="button" class="button quiet" lang=${other}
        onClick=${() => chooseLanguage(other)}>${LANGUAGES[other]}</button>
      <button type="button" class="button quiet only-icon" aria-label=${t(isDark ? "header.light" : "header.dark")}
        title=${t(isDark ? "header.light" : "header.dark")} onClick=${() => theme.set(isDark ? "light" : "dark")}>
        <${Icon} name=${isDark ? "sun" : "moon"} /></button>
    </div>
  </header>`;
}

function Failure() {
  useLanguage();
  const found = useStore(problem);
  if (!found) return html`<div role="alert"></div>`;
  const key = `error.${found.code}`;
  const text = has(key) ? t(key, found.values) : (found.message ?? String(found));
  return html`<div role="alert" class="failure-bar">
    <${Icon} name="warning" /><p class="grow">${text}</p>
    ${painterState.get() === "failed" && html`<button type="button" class="button"
      onClick=${() => location.reload()}>${t("error.again")}</button>`}
    <button type="button" class="button quiet only-icon" aria-label=${t("error.close")}
      onClick=${() => problem.set(null)}><${Icon} name="close" /></button>
  </div>`;
}

function Page() {
  useLanguage();
  const source = useStore(photo);
  const over = useDrop();
  return html`<div class="page-frame">
    <${Header} />
    <main class=${source ? "work" : "work empty-work"}>
      <div class="middle">
        <${Failure} />
        ${source ? html`<h1 class="hidden-text">${t("stage.title")}</h1><${Stage} />` : html`<${Welcome} />`}
      </div>
      <aside class="panel" aria-label=${t("panel.title")}><${Settings} /><${Styles} /></aside>
    </main>
    ${over && html`<div class="drop-over">
      <${Icon} name="picture" size=${36} />${t(over === "style" ? "drop.style" : "drop.photo")}</div>`}
  </div>`;
}

/** Takes pictures that are dropped anywhere, or pasted: on the styles a new style, else the photo. */
function useDrop() {
  const [over, setOver] = useState(null);
  useEffect(() => {
    const place = event => (event.target instanceof Element && event.target.closest(".styles") ? "style" : "photo");
    const carries = event => event.dataTransfer?.types.includes("Files");
    const hear = {
      dragover: event => {
        if (!carries(event)) return;
        event.preventDefault();
        setOver(place(event));
      },
      dragleave: event => { if (!event.relatedTarget) setOver(null); },
      drop: event => {
        if (!carries(event)) return;
        event.preventDefault();
        setOver(null);
        const [file] = event.dataTransfer.files;
        if (file) (place(event) === "style" ? addStyle : openPhoto)(file);
      },
      paste: event => {
        const [file] = event.clipboardData?.files ?? [];
        if (file) openPhoto(file);
      },
    };
    for (const [name, listener] of Object.entries(hear)) addEventListener(name, listener);
    return () => { for (const [name, listener] of Object.entries(hear)) removeEventListener(name, listener); };
  }, []);
  return over;
}

showTheme();
await startTexts();
render(html`<${Page} />`, document.getElementById("app"));
await start();
