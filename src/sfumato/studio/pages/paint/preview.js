// Previews: a small draft for every change of the settings. The newest wins; what was drafted before is kept.

import { useEffect, useRef, useState, useStore } from "../lib.js";
import * as api from "../api.js";
import { canPaint, changeWork, keysOf, masksOf, paintRequest, slotOf } from "./state.js";

const WAIT = 150; // ms without a change after which a draft is asked for
const kept = new Map(); // whole key -> picture

const keep = (key, picture) => {
  kept.set(key, picture);
  if (kept.size > 80) kept.delete(kept.keys().next().value);
};

/** Loads a picture, so that it is there when it is shown. */
async function decoded(picture) {
  const image = new Image();
  image.src = picture.file;
  await image.decode();
  return picture;
}

/** The draft from before a reload; null where there is none, or the service has removed it since. */
async function remembered(work, key) {
  if (work.draft?.key !== key) return null;
  return api.picture(work.draft.picture).then(decoded).catch(() => null);
}

/**
 * The draft of a photo with these settings: {picture, key, busy, error, again}. `picture` stays the one before until the
 * new one is there; `key` tells which settings it shows. With `off`, or
 * while a mask is being stored, nothing is asked for.
 */
export function usePreview(photo, settings, work, off) {
  const masks = masksOf(work, settings);
  const drafted = { ...settings, finish: { ...settings.finish, upscale: 1 } };
  const key = masks && canPaint(settings) ? keysOf(photo, drafted, work.mask).whole : null;
  const [state, setState] = useState({ picture: null, key: null, photo: null, busy: false, error: null });
  const [turn, setTurn] = useState(0);
  const first = useRef(true);
  useEffect(() => {
    if (!key || off) {
      setState(old => (old.busy || old.error ? { ...old, busy: false, error: null } : old));
      return undefined;
    }
    const found = kept.get(key);
    if (found) {
      setState({ picture: found, key, photo, busy: false, error: null });
      return undefined;
    }
    const control = new AbortController();
    setState(old => ({ ...(old.photo === photo ? old : { picture: null, key: null }), photo, busy: true, error: null }));
    const begin = async () => {
      try {
        const picture = await remembered(work, key) ?? await draft(control.signal);
        keep(key, picture);
        changeWork(photo, { draft: { key, picture: picture.id } });
        if (!control.signal.aborted) setState({ picture, key, photo, busy: false, error: null });
      } catch (error) {
        if (control.signal.aborted) return;
        setState(old => ({ ...old, busy: false, error: error.name === "AbortError" ? null : error }));
      }
    };
    const draft = async signal => {
      const job = await api.startJob({ ...paintRequest(photo, settings, masks, true), slot: slotOf(photo) });
      const { result } = await api.jobEnd(job.id, signal);
      const picture = await api.picture(result.picture);
      await decoded(picture).catch(() => {});
      return picture;
    };
    const timer = setTimeout(begin, first.current ? 0 : WAIT);
    first.current = false;
    return () => { clearTimeout(timer); control.abort(); };
  }, [key, off, turn]);
  const connection = useStore(api.connection);
  useEffect(() => { if (connection === "on" && state.error?.status === 0) setTurn(n => n + 1); }, [connection]);
  return { ...state, again: () => setTurn(n => n + 1) };
}
