// The frame of the page: log-in, navigation, theme, language, help. Views are loaded when they are first opened.

import { createSavedStore, createStore, html, render, useEffect, useRef, useState, useStore } from "./lib.js";
import { LANGUAGES, chooseLanguage, startTexts, t, useLanguage } from "./i18n.js";
import * as api from "./api.js";
import { Asked, Button, Dialog, EmptyState, Field, IconButton, Icon, Menu, Switch, Toasts, sentence } from "./ui.js";
import { helpOpen, keysOn } from "./keys.js";

const VIEWS = ["paint", "gallery", "video", "batch", "taste", "judge", "queue"];
const ICON_OF = { paint: "brush", gallery: "grid", video: "video", batch: "folder", taste: "heart", judge: "scale",
  queue: "queue", account: "person" };
const OTHERS = ["account", "explain"];

// Theme.

const theme = createSavedStore("sfumato.theme", "auto");
const showTheme = value => {
  if (value === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = value;
};
theme.subscribe(showTheme);
showTheme(theme.get());

// Routes: #/view/more?name=value.

function routeOf(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [view, ...rest] = path.split("/").map(decodeURIComponent);
  return {
    view: VIEWS.includes(view) || OTHERS.includes(view) ? view : "paint", path: rest,
    query: Object.fromEntries(new URLSearchParams(query)),
  };
}
const route = createStore(routeOf(location.hash));
addEventListener("hashchange", () => {
  if (!enterByLink()) route.set(routeOf(location.hash));
});

/** Logs in by the one-time link `#/token=...`; returns whether the address was one. */
function enterByLink() {
  const token = /^#\/?token=([^&]+)/.exec(location.hash)?.[1];
  if (!token) return false;
  history.replaceState(null, "", "#/paint"); // the token is out of the address at once
  route.set(routeOf("#/paint"));
  api.logIn({ token: decodeURIComponent(token) }).catch(problem => {
    linkError.set(problem.message);
    start();
  });
  return true;
}
const linkError = createStore("");
const startError = createStore("");

function start() {
  startError.set("");
  api.loadMe().catch(problem => startError.set(problem.message));
}

// Parts of the frame.

function Login() {
  useLanguage();
  const told = useStore(linkError);
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  const enter = async event => {
    event.preventDefault();
    const form = new FormData(event.target);
    setBusy(true);
    setError("");
    try {
      await api.logIn({ name: form.get("name"), password: form.get("password") });
    } catch (problem) {
      setError(problem.message);
      setBusy(false);
    }
  };
  return html`<main class="center-screen"><form class="card login" onSubmit=${enter}>
    <h1 class="brand"><img src=${new URL("./icon.svg", import.meta.url)} alt="" />Sfumato Studio</h1>
    ${told && html`<p class="small" role="alert">${sentence(told)}</p>`}
    <${Field} label=${t("app.name")} name="name" autocomplete="username" required autocapitalize="none" autofocus />
    <${Field} label=${t("app.password")} name="password" type="password" autocomplete="current-password" required
      error=${error} />
    <${Button} kind="primary" type="submit" big busy=${busy}>${t("app.log_in")}<//>
    <p class="small muted">${t("app.log_in_hint")}</p>
    <div class="row spread"><${LanguageMenu} /><${ThemeMenu} /></div>
  </form></main>`;
}

function ThemeMenu() {
  const now = useStore(theme);
  const icons = { auto: "auto", light: "sun", dark: "moon" };
  return html`<${Menu} label=${t("app.theme")} icon=${icons[now]} items=${Object.keys(icons).map(each => ({
    label: t(`app.theme_${each}`), checked: each === now, icon: icons[each], onSelect: () => theme.set(each),
  }))} />`;
}

function LanguageMenu() {
  const now = useLanguage();
  return html`<${Menu} label=${t("app.language")} icon="language" items=${Object.entries(LANGUAGES).map(([code, name]) => ({
    label: name, lang: code, checked: code === now, onSelect: () => chooseLanguage(code),
  }))} />`;
}

const openJobs = all => {
  let found = 0;
  for (const job of all.values()) if (!job.quick && !api.hasEnded(job)) found++;
  return found;
};

function Top({ view }) {
  const person = useStore(api.me);
  const waiting = useStore(api.jobs, openJobs);
  const links = VIEWS.map(each => html`<a key=${each} href="#/${each}" aria-current=${each === view ? "page" : null}>
    ${t(`app.${each}`)}${each === "queue" && waiting > 0 && html`<span class="badge">${waiting}
      <span class="hidden-text"> ${t("app.open_jobs")}</span></span>`}</a>`);
  return html`<header class="top">
    <${Menu} class="nav-button" label=${t("app.menu")} icon="menu" items=${[...VIEWS, "account"].map(each => ({
      label: each === "queue" && waiting ? `${t("app.queue")} (${waiting})` : t(`app.${each}`), icon: ICON_OF[each],
      onSelect: () => { location.hash = `#/${each}`; },
    }))} />
    <a class="brand" href="#/paint"><img src=${new URL("./icon.svg", import.meta.url)} alt="" /><span>Sfumato</span></a>
    <nav class="nav" aria-label=${t("app.views")}>${links}</nav>
    <div class="end">
      <${LanguageMenu} /><${ThemeMenu} />
      <${IconButton} icon="help" label=${t("app.help")} onClick=${() => helpOpen.set(true)} />
      <${IconButton} icon="person" label=${t("app.account_of", { name: person.name })} href="#/account"
        aria-current=${view === "account" ? "page" : null} />
    </div></header>`;
}

const HELP = {
  everywhere: [["?", "help"], ["Tab", "tab"], ["Esc", "close"]],
  paint: [
    ["← →", "slide"], ["+ −", "zoom"], ["0", "fit"], ["1", "real"], ["B", "before"],
    ["M", "mask"], ["V", "variants"], ["Ctrl V", "paste"], ["Ctrl ↵", "paint"],
  ],
  mask: [["[ ]", "size"], ["E", "erase"], ["Ctrl Z", "undo"], ["I", "invert"]],
  taste: [["1 2", "prefer"], ["0", "neither"]],
  judge: [["← ↓ →", "vote"], ["N", "next"]],
};

function Help() {
  const open = useStore(helpOpen);
  const on = useStore(keysOn);
  return html`<${Dialog} open=${open} title=${t("app.help")} onClose=${() => helpOpen.set(false)} wide>
    <div class="stack">
      <div class="help-list">${Object.entries(HELP).map(([part, keys]) => html`<section key=${part}>
        <h3>${t(`app.help_${part}`)}</h3><dl>${keys.map(([key, does]) => html`
          <dt>${key.split(" ").map(each => html`<kbd>${each}</kbd> `)}</dt>
          <dd>${t(`app.key_${does}`)}</dd>`)}</dl></section>`)}</div>
      <${Switch} label=${t("app.single_keys")} checked=${on} onChange=${keysOn.set} />
      <p class="small muted">${t("app.help_more")}</p>
    </div><//>`;
}

const loaded = new Map();

function View({ now }) {
  const [, shown] = useState(0);
  const [error, setError] = useState(null);
  useEffect(() => {
    setError(null);
    if (!loaded.has(now.view)) {
      import(`./views/${now.view}.js`).then(
        module => { loaded.set(now.view, module.default); shown(n => n + 1); },
        () => setError(now.view),
      );
    }
  }, [now.view]);
  if (error === now.view) {
    return html`<${EmptyState} icon="warning" title=${t("app.not_loaded")} text=${t("app.not_loaded_text")}>
      <${Button} icon="refresh" onClick=${() => location.reload()}>${t("app.reload")}<//><//>`;
  }
  const Found = loaded.get(now.view);
  return Found ? html`<${Found} key=${now.view} route=${now} query=${now.query} path=${now.path} />` : null;
}

function Frame() {
  const now = useStore(route);
  const state = useStore(api.connection);
  const language = useLanguage();
  const main = useRef(null);
  const first = useRef(true);
  useEffect(() => {
    document.title = `${t(`app.${now.view}`)} · Sfumato Studio`;
    if (first.current) first.current = false;
    else { main.current.focus({ preventScroll: true }); scrollTo(0, 0); }
  }, [now.view]);
  useEffect(() => { document.title = `${t(`app.${now.view}`)} · Sfumato Studio`; }, [language]);
  return html`<div class="frame" key=${language}>
    <a class="skip button primary" href="#main"
      onClick=${event => { event.preventDefault(); main.current.focus(); }}>${t("app.skip")}</a>
    <div><${Top} view=${now.view} />
      <div role="status">${state === "lost" && html`<p class="banner"><${Icon} name="warning"
        size="16" />${t("app.lost")}</p>`}</div></div>
    <main ref=${main} id="main" tabindex="-1" class="view-${now.view}"><${View} now=${now} /></main>
  </div>`;
}

function App() {
  const person = useStore(api.me);
  const problem = useStore(startError);
  useLanguage();
  let inside = html`<div class="center-screen" aria-busy="true" />`;
  if (person) inside = html`<${Frame} />`;
  else if (person === null) inside = html`<${Login} />`;
  else if (problem) {
    inside = html`<main class="center-screen"><${EmptyState} icon="warning" title=${t("app.no_studio")} text=${problem}>
      <${Button} icon="refresh" onClick=${start}>${t("app.again")}<//><//></main>`;
  }
  return html`${inside}<${Help} /><${Asked} /><${Toasts} />`;
}

// A file that misses a place to drop it must not replace the page.
for (const kind of ["dragover", "drop"]) addEventListener(kind, event => event.preventDefault());

await startTexts();
render(html`<${App} />`, document.getElementById("app"));
api.startEvents();
if (!enterByLink()) start();
