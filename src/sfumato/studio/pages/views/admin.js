// What admins see of a Studio: the accounts, and the log of who did what.

import { html, useState } from "../lib.js";
import { del, get, patch, post, useLoaded } from "../api.js";
import { bytes, dateTime, has, t } from "../i18n.js";
import { Button, Dialog, Field, Icon, Menu, Select, ask, toast, toastError } from "../ui.js";
import { ErrorNote } from "./parts.js";

const GIGABYTE = 1e9;

export function Accounts({ person }) {
  const { value: accounts, error, reload } = useLoaded(() => get("/accounts"), []);
  const [asks, setAsks] = useState(null); // {account} to change one, {} for a new one
  const change = (account, values) => patch(`/accounts/${account.id}`, values).then(reload).catch(toastError);
  const remove = async account => {
    const agreed = await ask({
      title: t("acc.remove_title", { name: account.name }), text: t("acc.remove_text"), action: t("acc.remove"), danger: true,
    });
    if (agreed) await del(`/accounts/${account.id}`).then(reload).catch(toastError);
  };
  return html`<div class="row wrap"><h2>${t("acc.accounts")}</h2><span class="gap"></span>
      <${Button} icon="plus" onClick=${() => setAsks({})}>${t("acc.new_account")}<//></div>
    ${error && html`<${ErrorNote} error=${error} retry=${reload} />`}
    ${accounts && html`<ul class="lines">${accounts.map(each => html`<li key=${each.id}><${Icon} name="person" />
      <div class="grow"><strong>${each.name}</strong>
        <span class="small muted">${t(`acc.role_${each.role}`)} · ${each.quota === null ? t("acc.used", { used: bytes(each.used) })
          : t("acc.used_of", { used: bytes(each.used), quota: bytes(each.quota) })}${each.disabled ? ` · ${t("acc.disabled")}` : ""}</span></div>
      <${Menu} label=${t("acc.change_of", { name: each.name })} items=${[
        { label: t("acc.change"), icon: "sliders", onSelect: () => setAsks({ account: each }) },
        each.id !== person.id && { label: t(each.disabled ? "acc.enable" : "acc.disable"), icon: each.disabled ? "play" : "stop",
          onSelect: () => change(each, { disabled: !each.disabled }) },
        each.id !== person.id && { label: t("acc.remove"), icon: "trash", danger: true, onSelect: () => remove(each) },
      ]} /></li>`)}</ul>`}
    ${asks && html`<${AccountDialog} account=${asks.account} close=${() => setAsks(null)}
      done=${() => { setAsks(null); reload(); }} />`}`;
}

function AccountDialog({ account, close, done }) {
  const [error, setError] = useState("");
  const [role, setRole] = useState(account?.role ?? "member");
  const save = async event => {
    event.preventDefault();
    const form = new FormData(event.target);
    const quota = form.get("quota").trim();
    const values = { role };
    if (form.get("password")) values.password = form.get("password");
    if (quota) values.quota = Math.round(Number(quota) * GIGABYTE);
    else if (account?.quota !== null) values.quota = null;
    try {
      if (account) await patch(`/accounts/${account.id}`, values);
      else await post("/accounts", { ...values, name: form.get("name").trim().toLowerCase() });
      toast(t("acc.saved"));
      done();
    } catch (problem) {
      setError(problem.message);
    }
  };
  return html`<${Dialog} open title=${account?.name ?? t("acc.new_account")} onClose=${close}><form class="stack" onSubmit=${save}>
    ${!account && html`<${Field} label=${t("acc.account_name")} name="name" required maxlength="64" pattern="[A-Za-z0-9][A-Za-z0-9._@\\-]*"
      autocapitalize="none" autocomplete="off" autofocus hint=${t("acc.account_name_hint")} />`}
    <${Field} label=${t(account ? "acc.password_new" : "acc.password")} name="password" type="password" minlength="12" maxlength="200"
      required=${!account} autocomplete="new-password" hint=${t(account ? "acc.password_keep" : "acc.password_hint")} />
    <${Select} label=${t("acc.role")} value=${role} onChange=${setRole}
      options=${["member", "admin"].map(value => ({ value, label: t(`acc.role_${value}`) }))} />
    <${Field} label=${t("acc.quota")} name="quota" type="number" min="0" step="any" inputmode="decimal" hint=${t("acc.quota_hint")}
      defaultValue=${account?.quota ? account.quota / GIGABYTE : ""} error=${error} />
    <div class="row end"><${Button} kind="primary" type="submit">${t("acc.save")}<//></div></form><//>`;
}

export function AuditLog() {
  const [open, setOpen] = useState(false);
  return html`<details class="fold audit" onToggle=${event => setOpen(event.target.open)}><summary><h2>${t("acc.audit")}</h2></summary>
    ${open && html`<${AuditLines} />`}</details>`;
}

function AuditLines() {
  const [older, setOlder] = useState({ items: [], next: undefined });
  const { value: first, error, reload } = useLoaded(() => get("/audit"), []);
  const accounts = useLoaded(() => get("/accounts"), []).value ?? [];
  if (error) return html`<${ErrorNote} error=${error} retry=${reload} />`;
  if (!first) return null;
  const names = new Map(accounts.map(each => [each.id, each.name]));
  const next = older.next === undefined ? first.next : older.next;
  const more = () => get("/audit", { before: next })
    .then(found => setOlder(old => ({ items: [...old.items, ...found.items], next: found.next }))).catch(toastError);
  const action = name => (has(`acc.did_${name}`) ? t(`acc.did_${name}`) : name);
  return html`<div class="table-scroll" tabindex="0" role="region" aria-label=${t("acc.audit")}><table class="standings">
    <thead><tr><th scope="col">${t("acc.when")}</th><th scope="col">${t("acc.who")}</th><th scope="col">${t("acc.what")}</th></tr></thead>
    <tbody>${[...first.items, ...older.items].map(line => html`<tr key=${line.id}><td class="number">${dateTime(line.at)}</td>
      <td>${names.get(line.account) ?? line.account?.slice(0, 8) ?? "–"}</td>
      <td>${action(line.action)}${line.object && html` <code class="small muted">${line.object.slice(0, 8)}</code>`}</td></tr>`)}</tbody></table></div>
    ${next && html`<${Button} kind="quiet" onClick=${more}>${t("que.more")}<//>`}`;
}
