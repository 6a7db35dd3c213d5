// What the page knows, as stores that its parts share.

import { createSavedStore, createStore } from "../shared/lib.js";

/** The photo: {file, name, url, width, height}; null where none was chosen. */
export const photo = createStore(null);
/** The name of a style, or of one of `ownStyles`. */
export const chosen = createSavedStore("sfumato.web.style", "van-gogh");
/** Styles of the person's own pictures: {name, code, url}; they are not kept. */
export const ownStyles = createStore([]);
export const settings = createSavedStore("sfumato.web.settings", {
  strength: 1,
  stroke: 1,
  color: "style",
  maxSize: 1536,
});
/** The painting: {image, recipe, style}. */
export const painting = createStore(null);
/** The share that is done, from 0 to 1; null where nothing is painted. */
export const progress = createStore(null);
/** What went wrong: {code, message, values}. */
export const problem = createStore(null);
/** The painter: "starting", "ready" or "failed". */
export const painterState = createStore("starting");
/** The built-in styles. */
export const styles = createStore([]);
/** Whether all files are kept for use without a network. */
export const offline = createStore(false);
/** How the picture is shown: "painting", "compare" or "photo". */
export const view = createStore("painting");
/** "light", "dark", or null: as the system says. */
export const theme = createSavedStore("sfumato.theme", null);
