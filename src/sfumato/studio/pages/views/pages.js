// The gallery's pictures, a page at a time, kept up to date while the service makes more.

import { useCallback, useEffect, useRef, useState, useStore } from "../lib.js";
import { galleryChanges, latest, listPictures, pictureChanges } from "../api.js";

const SIZE = 60;

/** {items, next, loading, error, more, reload, drop(ids)} of the pictures that a query finds. */
export function usePictures(query) {
  const key = JSON.stringify(query);
  const [state, setState] = useState({ key, items: [], next: null, loading: true, error: null });
  const busy = useRef(null);
  const changes = useStore(galleryChanges);
  useStore(pictureChanges); // stars and titles change in place

  const load = useCallback(async (before, merge) => {
    busy.current?.abort();
    const control = (busy.current = new AbortController());
    setState(old => ({ ...(old.key === key ? old : { items: [], next: null }), key, loading: true, error: null }));
    try {
      const found = await listPictures({ ...JSON.parse(key), before, limit: SIZE }, control.signal);
      if (!control.signal.aborted) setState(old => ({ ...old, ...merge(old, found), loading: false }));
    } catch (error) {
      if (error.name !== "AbortError") setState(old => ({ ...old, loading: false, error }));
    }
  }, [key]);

  const reload = useCallback(() => load(null, refreshed), [load]);
  useEffect(() => { reload(); }, [reload, changes]);
  useEffect(() => () => busy.current?.abort(), []);

  const more = useCallback(() => {
    if (state.next && !state.loading && !state.error) {
      load(state.next, (old, found) => ({ items: joined(old.items, found.items), next: found.next }));
    }
  }, [load, state.next, state.loading, state.error]);
  const drop = ids => setState(old => ({ ...old, items: old.items.filter(item => !ids.includes(item.id)) }));

  const items = state.key === key ? state.items.map(latest).filter(item => !item.gone) : [];
  return { ...state, items, loading: state.loading || state.key !== key, more, reload, drop };
}

function joined(items, found) {
  const there = new Set(items.map(item => item.id));
  return [...items, ...found.filter(item => !there.has(item.id))];
}

// The first page again: what was made or deleted since shows; pages further down stay as they are.
function refreshed(old, found) {
  if (!found.next) return found;
  const last = found.items.at(-1).id;
  const at = old.items.findIndex(item => item.id === last);
  if (at < 0) return found;
  const later = old.items.slice(at + 1);
  return { items: joined(found.items, later), next: later.length ? old.next : found.next };
}
