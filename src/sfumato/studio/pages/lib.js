// What every module of the page needs: the framework, and small stores of shared state.

import { Component, Fragment, createContext, h, render } from "./vendor/preact.js";
import {
  useCallback, useContext, useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState,
} from "./vendor/hooks.js";
import htm from "./vendor/htm.js";

export {
  Component, Fragment, createContext, h, render,
  useCallback, useContext, useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState,
};

/** Makes elements of a template: html`<p class="x">${text}</p>`. */
export const html = htm.bind(h);

/** A value that many components share: get(), set(value or function of the old value), subscribe(f) -> unsubscribe. */
export function createStore(value) {
  const listeners = new Set();
  return {
    get: () => value,
    set(next) {
      const found = typeof next === "function" ? next(value) : next;
      if (Object.is(found, value)) return;
      value = found;
      for (const listener of [...listeners]) listener(value);
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** Like createStore, but the value is kept in the browser under `key`, and other tabs follow. */
export function createSavedStore(key, fallback) {
  const read = text => {
    try { return text === null ? fallback : JSON.parse(text); } catch { return fallback; }
  };
  let saved = null;
  try { saved = localStorage.getItem(key); } catch { /* the browser stores nothing for this page */ }
  const store = createStore(read(saved));
  store.subscribe(value => {
    try { localStorage.setItem(key, JSON.stringify(value)); } catch { /* full or forbidden: it lasts until the reload */ }
  });
  addEventListener("storage", event => { if (event.key === key) store.set(read(event.newValue)); });
  return store;
}

/** The store's value, or select(value); the component is rendered again when that changes. */
export function useStore(store, select = value => value) {
  const chosen = select(store.get());
  const [, rerender] = useReducer(count => count + 1, 0);
  const latest = useRef();
  latest.current = { select, chosen };
  useLayoutEffect(() => {
    const check = () => {
      if (!Object.is(latest.current.select(store.get()), latest.current.chosen)) rerender();
    };
    check(); // it may have changed between rendering and subscribing
    return store.subscribe(check);
  }, [store]);
  return chosen;
}

/** Calls f(...) once it has not been called for `wait` milliseconds. `.cancel()` forgets a waiting call. */
export function debounce(f, wait) {
  let timer = 0;
  const later = (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => f(...values), wait);
  };
  later.cancel = () => clearTimeout(timer);
  return later;
}

/** Runs f(item, index) over all items, at most `width` at once. */
export async function eachOf(items, width, f) {
  let next = 0;
  const run = async () => {
    while (next < items.length) {
      const index = next++;
      await f(items[index], index);
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, run));
}

/** A random text that nobody can guess; works without HTTPS too. */
export function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), byte => byte.toString(16).padStart(2, "0")).join("");
}
