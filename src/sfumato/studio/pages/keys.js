// Keyboard shortcuts. Single keys can be switched off (WCAG 2.1.4), and never fire while something is typed.

import { createSavedStore, createStore, useEffect, useRef } from "./lib.js";

/** Whether keys without Ctrl do something. */
export const keysOn = createSavedStore("sfumato.keys", true);
/** Whether the help is shown. */
export const helpOpen = createStore(false);

const TYPED = ["text", "search", "password", "number", "email", "url", "tel"];
const isTyping = element => element.isContentEditable || element.tagName === "TEXTAREA" || element.tagName === "SELECT"
  || (element.tagName === "INPUT" && TYPED.includes(element.type));

/** The name of a pressed key: "b", "?", "ctrl+z", "ctrl+shift+z". */
export const keyName = event => {
  const held = event.ctrlKey || event.metaKey ? "ctrl+" : "";
  const shift = event.shiftKey && (held || event.key.length > 1) ? "shift+" : "";
  return held + shift + event.key.toLowerCase();
};

/** Calls map[key](event) for keys pressed anywhere on the page, while no dialog is open. */
export function useKeys(map) {
  const latest = useRef(map);
  latest.current = map;
  useEffect(() => {
    const press = event => {
      const name = keyName(event);
      const run = latest.current[name];
      if (!run || event.defaultPrevented || event.altKey || isTyping(event.target)) return;
      if (document.querySelector("dialog[open]")) return;
      if (!name.startsWith("ctrl+") && !keysOn.get()) return;
      if (run(event) !== false) event.preventDefault();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);
}

addEventListener("keydown", event => {
  if (event.key === "?" && keysOn.get() && !isTyping(event.target) && !document.querySelector("dialog[open]")) helpOpen.set(true);
});
