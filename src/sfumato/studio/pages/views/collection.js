// Puts pictures into a collection, an old one or a new one.

import { html, useState } from "../lib.js";
import { get, useLoaded } from "../api.js";
import { t } from "../i18n.js";
import { Button, Dialog, Field, toast, toastError } from "../ui.js";
import { changeAll } from "./actions.js";

export function CollectionDialog({ pictures, close }) {
  const [name, setName] = useState(pictures.length === 1 ? pictures[0].collection ?? "" : "");
  const collections = useLoaded(() => get("/collections"), []).value ?? [];
  const put = async collection => {
    try {
      await changeAll(pictures.map(each => each.id), { collection });
      toast(collection ? t("gal.put", { n: pictures.length, name: collection }) : t("gal.taken_out", { n: pictures.length }));
      close();
    } catch (problem) {
      toastError(problem);
    }
  };
  const submit = event => {
    event.preventDefault();
    if (name.trim()) put(name.trim());
  };
  return html`<${Dialog} open title=${t("gal.to_collection")} onClose=${close}>
    <form class="stack" onSubmit=${submit}>
      ${collections.length > 0 && html`<div class="chips">${collections.map(each => html`
        <${Button} key=${each.name} kind="quiet" icon="folder" onClick=${() => put(each.name)}>${each.name}<//>`)}</div>`}
      <${Field} label=${t("gal.collection_name")} maxlength="64" value=${name} autofocus required
        onInput=${event => setName(event.target.value)} />
      <div class="row end">
        ${pictures.some(each => each.collection) && html`<${Button} kind="quiet" onClick=${() => put(null)}>${t("gal.take_out")}<//>`}
        <${Button} kind="primary" type="submit">${t("gal.put_in")}<//>
      </div>
    </form>
  <//>`;
}
