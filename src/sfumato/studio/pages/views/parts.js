// Small parts that several views share.

import { html } from "../lib.js";
import { t } from "../i18n.js";
import { Button, Icon, sentence } from "../ui.js";

/** Goes to a view; `replace` leaves no step in the browser's history. */
export function go(hash, { replace = false } = {}) {
  if (replace) location.replace(hash);
  else location.hash = hash;
}

/** An error in its one sentence, with a way to try again. */
export const ErrorNote = ({ error, retry }) => html`<div class="error-note" role="alert"><${Icon} name="warning" />
  <p>${sentence(error.message)}</p>${retry && html`<${Button} icon="refresh" onClick=${retry}>${t("gal.again")}<//>`}</div>`;
