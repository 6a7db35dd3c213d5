// The person's account: space used, password, keys for programs, and the deletion of everything. Admins see the accounts too.

import { html, useEffect, useState, useStore } from "../lib.js";
import { call, del, get, loadMe, logOut, me, post, put, useLoaded } from "../api.js";
import { bytes, dateTime, t, useLanguage } from "../i18n.js";
import { Button, Check, Dialog, Field, Icon, IconButton, Progress, ask, toast, toastError } from "../ui.js";
import { Accounts, AuditLog, spaceOf } from "./admin.js";
import { copy } from "./actions.js";
import { ErrorNote } from "./parts.js";

export default function Account() {
  useLanguage();
  const person = useStore(me);
  useEffect(() => { loadMe().catch(toastError); }, []);
  if (!person) return null;
  return html`<section class="account page" aria-labelledby="account-title">
    <div class="row wrap"><h1 id="account-title">${t("acc.title")}</h1><span class="gap"></span>
      <${Button} onClick=${() => leave(person)}>${t("acc.log_out")}<//></div>
    <${Mine} person=${person} />
    ${!person.local && html`<${Password} />`}
    <${Keys} person=${person} />
    ${person.role === "admin" && html`${!person.local && html`<${Accounts} person=${person} />`}<${AuditLog} />`}
    <${Everything} person=${person} />
    <p class="small muted">Sfumato ${person.version}</p>
  </section>`;
}

async function leave(person) {
  const agreed = !person.local || await ask({
    title: t("acc.log_out_title"), text: t("acc.log_out_local"), action: t("acc.log_out"),
  });
  if (agreed) await logOut().catch(toastError);
}

function Mine({ person }) {
  const share = person.quota ? person.used / person.quota : null;
  return html`<div class="card stack tight">
    <dl class="terms"><div><dt>${t("acc.name")}</dt><dd>${person.local ? t("acc.local") : person.name}</dd></div>
      ${!person.local && html`<div><dt>${t("acc.role")}</dt><dd>${t(`acc.role_${person.role}`)}</dd></div>`}
      <div><dt>${t("acc.space")}</dt><dd>${spaceOf(person)}</dd></div></dl>
    ${share !== null && html`<${Progress} value=${Math.min(1, share)} label=${t("acc.space")} />`}
    ${share > 0.9 && html`<p class="small failure"><${Icon} name="warning"
      size="16" /> ${t("acc.nearly_full")}</p>`}</div>`;
}

function Password() {
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  const change = async event => {
    event.preventDefault();
    const form = event.target;
    const given = new FormData(form);
    setBusy(true);
    setError("");
    try {
      await put("/me/password", { old: given.get("old"), new: given.get("new") });
      form.reset();
      toast(t("acc.password_changed"));
    } catch (problem) {
      setError(problem.message);
    }
    setBusy(false);
  };
  return html`<h2>${t("acc.password")}</h2><form class="card stack" onSubmit=${change}>
    <${Field} label=${t("acc.password_old")} name="old" type="password" autocomplete="current-password" required
      error=${error} />
    <${Field} label=${t("acc.password_new")} name="new" type="password" autocomplete="new-password" minlength="12"
      maxlength="200"
      required hint=${t("acc.password_hint")} />
    <div class="row"><${Button} type="submit" busy=${busy}>${t("acc.password_change")}<//></div></form>`;
}

function Keys({ person }) {
  const { value: keys, error, reload } = useLoaded(() => get("/keys"), []);
  const [asks, setAsks] = useState(false);
  const [made, setMade] = useState(null);
  const revoke = async key => {
    const agreed = await ask({
      title: t("acc.revoke_title", { name: key.label }), text: t("acc.revoke_text"), action: t("acc.revoke"), danger: true,
    });
    if (agreed) await del(`/keys/${key.id}`).then(reload).catch(toastError);
  };
  return html`<div class="row wrap"><h2>${t("acc.keys")}</h2><span class="gap"></span>
      <${Button} icon="plus" onClick=${() => setAsks(true)}>${t("acc.new_key")}<//></div>
    <p class="small muted">${t("acc.keys_hint")}</p>
    ${error && html`<${ErrorNote} error=${error} retry=${reload} />`}
    ${keys?.length > 0 && html`<ul class="lines">${keys.map(key => html`<li key=${key.id}><${Icon} name="key" />
      <div class="grow"><strong>${key.label}</strong>
        <span class="small muted">${key.scopes.map(scope => t(`acc.scope_${scope}`)).join(", ")} · ${key.used
          ? t("acc.key_used", { time: dateTime(key.used) }) : t("acc.key_made", { time: dateTime(key.created) })}</span></div>
      <${IconButton} icon="trash" label=${t("acc.revoke_one", { name: key.label })}
        onClick=${() => revoke(key)} /></li>`)}</ul>`}
    ${asks && html`<${NewKey} person=${person} close=${() => setAsks(false)}
      done=${key => { setAsks(false); setMade(key); reload(); }} />`}
    ${made && html`<${MadeKey} made=${made} close=${() => setMade(null)} />`}`;
}

function NewKey({ person, close, done }) {
  const [scopes, setScopes] = useState(["read", "write"]);
  const [error, setError] = useState("");
  const offered = ["read", "write", ...(person.role === "admin" ? ["admin"] : [])];
  const make = async event => {
    event.preventDefault();
    try {
      done(await post("/keys", { label: new FormData(event.target).get("label").trim(), scopes }));
    } catch (problem) {
      setError(problem.message);
    }
  };
  return html`<${Dialog} open title=${t("acc.new_key")} onClose=${close}><form class="stack" onSubmit=${make}>
    <${Field} label=${t("acc.key_label")} name="label" maxlength="64" required autofocus autocomplete="off"
      hint=${t("acc.key_label_hint")} error=${error} />
    <fieldset class="stack tight"><legend class="label">${t("acc.key_may")}</legend>${offered.map(scope => html`
      <${Check} key=${scope} label=${t(`acc.scope_${scope}`)} checked=${scopes.includes(scope)}
        onChange=${on => setScopes(old => (on ? [...old, scope] : old.filter(each => each !== scope)))} />`)}</fieldset>
    <div class="row end"><${Button} kind="primary" type="submit"
      disabled=${!scopes.length}>${t("acc.make_key")}<//></div></form><//>`;
}

function MadeKey({ made, close }) {
  return html`<${Dialog} open title=${made.label} onClose=${close} actions=${html`<${Button}
    onClick=${close}>${t("acc.key_kept")}<//>
      <${Button} kind="primary" icon="copy" autofocus
        onClick=${() => copy(made.key, t("acc.key_copied"))}>${t("acc.key_copy")}<//>`}>
    <div class="stack tight"><p>${t("acc.key_once")}</p><code class="secret">${made.key}</code></div><//>`;
}

/** Deletes all of the person's data, once its word is typed. */
function Everything({ person }) {
  const [open, setOpen] = useState(false);
  const [typed, setTyped] = useState("");
  const [busy, setBusy] = useState(false);
  const word = t("acc.delete_word");
  const close = () => { setOpen(false); setTyped(""); };
  const remove = async event => {
    event.preventDefault();
    if (typed.trim().toLowerCase() !== word.toLowerCase()) return;
    setBusy(true);
    try {
      await call("DELETE", "/me");
      location.hash = "#/paint";
      location.reload(); // nothing that the page remembers is left
    } catch (problem) {
      toastError(problem);
      setBusy(false);
    }
  };
  return html`<h2>${t("acc.delete_title")}</h2>
    <div class="card row wrap"><p class="grow">${t(person.local ? "acc.delete_text_local" : "acc.delete_text")}</p>
      <${Button} kind="danger" icon="trash" onClick=${() => setOpen(true)}>${t("acc.delete")}<//></div>
    <${Dialog} open=${open} title=${t("acc.delete_ask")} onClose=${close}><form class="stack" onSubmit=${remove}>
      <p>${t(person.local ? "acc.delete_text_local" : "acc.delete_text")} ${t("acc.delete_final")}</p>
      <${Field} label=${t("acc.delete_type", { word })} value=${typed} autocomplete="off" autocapitalize="none" autofocus
        onInput=${event => setTyped(event.target.value)} />
      <div class="row end"><${Button} onClick=${close}>${t("ui.cancel")}<//>
        <${Button} kind="danger" type="submit" busy=${busy}
          disabled=${typed.trim().toLowerCase() !== word.toLowerCase()}>${t("acc.delete")}<//></div>
    </form><//>`;
}
