// The service: requests, uploads, live events, and what the page knows of jobs, pictures, styles and the person.
//
// Browsers allow six connections to a host. So a hidden tab closes its event stream, and asks anew when it is seen.

import { createStore, eachOf, randomId, useEffect, useState, useStore } from "./lib.js";
import { bytes, t } from "./i18n.js";

const ROOT = "/api/v1";

/** An error of the service. `message` is one sentence for the reader; `status` is 0 without a connection. */
export class ApiError extends Error {
  constructor(message, status, code) {
    super(message);
    Object.assign(this, { status, code });
  }
}

/** The address of a call, with its query; values that are null, undefined or "" are left out. */
export function address(path, query = {}) {
  const found = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (![null, undefined, ""].includes(value)) found.set(name, value);
  const text = found.toString();
  return ROOT + path + (text ? `?${text}` : "");
}

function errorOf(status, text) {
  let found = {};
  try { found = JSON.parse(text); } catch { /* not of the service: a proxy, perhaps */ }
  if (status === 401 && me.get()) me.set(null);
  const sentence = typeof found.detail === "string" ? found.detail : t("net.failed", { status });
  return new ApiError(sentence, status, found.code ?? "");
}

/**
 * Calls the service and returns its JSON (null without a body).
 * Options: query, body (JSON, or FormData), headers, signal. Throws ApiError.
 */
export async function call(method, path, { query, body, headers = {}, signal } = {}) {
  const options = { method, signal, headers: { Accept: "application/json", ...headers } };
  if (body instanceof FormData) options.body = body;
  else if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let answer, text;
  try {
    answer = await fetch(address(path, query), options);
    text = await answer.text();
  } catch (problem) {
    if (problem.name === "AbortError") throw problem;
    throw new ApiError(t("net.lost"), 0, "offline");
  }
  if (!answer.ok) throw errorOf(answer.status, text);
  return text ? JSON.parse(text) : null;
}

export const get = (path, query, signal) => call("GET", path, { query, signal });
export const post = (path, body, options) => call("POST", path, { body, ...options });
export const patch = (path, body) => call("PATCH", path, { body });
export const put = (path, body) => call("PUT", path, { body });
export const del = path => call("DELETE", path);

const pause = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds));

/** Posts so that a repeated request is carried out once, and repeats it while there is no connection. */
async function postOnce(path, body) {
  const headers = { "Idempotency-Key": randomId() };
  for (let wait = 500; ; wait *= 2) {
    try {
      return await post(path, body, { headers });
    } catch (problem) {
      if (problem.status !== 0 || wait > 8000) throw problem;
      await pause(wait);
    }
  }
}

// The person.

/** Who is logged in: undefined before that is known, null for nobody. */
export const me = createStore(undefined);

/** Logs in by a one-time link's token or by name and password. */
export async function logIn(body) {
  const found = await post("/session", body);
  me.set(found);
  return found;
}

export async function logOut() {
  await del("/session");
  me.set(null);
}

/** Asks who is logged in, and what is used of the quota. */
export async function loadMe() {
  try {
    me.set(await get("/me"));
  } catch (problem) {
    if (problem.status !== 401) throw problem;
    me.set(null);
  }
}

// Pictures.

/** Grows by one whenever the gallery may have changed. */
export const galleryChanges = createStore(0);
const known = new Map();
const asked = new Map(); // requests on their way: several components may want one picture

/** Grows by one whenever the facts of a picture changed; `latest` has them. */
export const pictureChanges = createStore(0);

/** What is known of a picture now, given what was known of it once. */
export const latest = found => known.get(found.id) ?? found;

/** Notes pictures, so that everything that shows them is drawn again; returns what was given. */
export function note(pictures) {
  for (const picture of Array.isArray(pictures) ? pictures : [pictures]) known.set(picture.id, picture);
  pictureChanges.set(count => count + 1);
  return pictures;
}

/** The picture of an id, from the service only if it is not known. */
export async function picture(id, { fresh = false } = {}) {
  if (!fresh && known.has(id)) return known.get(id);
  if (!asked.has(id)) asked.set(id, get(`/pictures/${id}`).finally(() => asked.delete(id)));
  return note(await asked.get(id));
}

/** Whether the connection is lost: what was asked for in vain is asked for again afterwards. */
const useLost = () => useStore(connection, state => state === "lost");

/** The picture of an id for a component: null until it is there, {id, gone: true} if it was deleted. */
export function usePicture(id) {
  const found = useStore(pictureChanges, () => (id && known.get(id)) || null);
  const lost = useLost();
  useEffect(() => {
    if (lost || !id || known.has(id)) return;
    picture(id).catch(problem => { if (problem.status === 404) note({ id, gone: true }); });
  }, [id, lost]);
  return found;
}

/** A page of the gallery: {items, next}. */
export async function listPictures(query, signal) {
  const found = await get("/pictures", query, signal);
  note(found.items);
  return found;
}

/** Changes {star, rating, collection, title, trashed} of a picture; the page shows it before the service agrees. */
export async function changePicture(id, changes) {
  const before = known.get(id);
  if (before) note({ ...before, ...changes });
  try {
    return note(await patch(`/pictures/${id}`, changes));
  } catch (problem) {
    if (before) note(before);
    throw problem;
  }
}

/** Deletes a picture and its bytes for good. */
export async function deletePicture(id) {
  await del(`/pictures/${id}`);
  note({ ...known.get(id), id, gone: true });
}

/**
 * Uploads a file as photo, style, mask or video and returns its Picture.
 * Options: progress(share from 0 to 1), signal, name (of a Blob).
 */
export function upload(file, kind = "photo", { progress = () => {}, signal, name = file.name ?? "picture.png" } = {}) {
  const most = me.get()?.limits?.[kind === "video" ? "video_bytes" : "upload_bytes"];
  if (most && file.size > most) {
    return Promise.reject(new ApiError(t("net.too_large", { name, size: bytes(most) }), 413, "too_large"));
  }
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const body = new FormData();
    body.append("kind", kind);
    body.append("file", file, name);
    request.open("POST", address(kind === "video" ? "/videos" : "/pictures"));
    request.upload.onprogress = event => { if (event.lengthComputable) progress(event.loaded / event.total); };
    request.onload = () => {
      if (request.status >= 300) {
        reject(errorOf(request.status, request.responseText));
        return;
      }
      progress(1);
      resolve(note(JSON.parse(request.responseText)));
      galleryChanges.set(count => count + 1);
    };
    request.onerror = () => reject(new ApiError(t("net.lost"), 0, "offline"));
    request.onabort = () => reject(new DOMException(t("net.stopped"), "AbortError"));
    signal?.addEventListener("abort", () => request.abort());
    request.send(body);
  });
}

/** Uploads files, two at once. Calls each(index, {picture} or {error}); one that fails does not stop the others. */
export const uploadAll = (files, kind, each, options = {}) => eachOf(files, 2, async (file, index) => {
  try {
    each(index, { picture: await upload(file, kind, options) });
  } catch (error) {
    each(index, { error });
  }
});

// Styles.

/** {built_in, own, tastes}; null before they are loaded. */
export const styles = createStore(null);

export async function loadStyles() {
  const found = await get("/styles");
  styles.set(found);
  return found;
}

/** The styles for a component; loads them once. */
export function useStyles() {
  const found = useStore(styles);
  const lost = useLost();
  useEffect(() => { if (!lost && !styles.get()) loadStyles().catch(() => {}); }, [lost]);
  return found;
}

// Jobs.

const ENDED = ["done", "failed", "cancelled"];

/** Whether a job has ended. */
export const hasEnded = job => ENDED.includes(job.state);

/** All jobs that the page has heard of, by id. */
export const jobs = createStore(new Map());

/** Notes jobs that the service told of; returns what was given. */
export function noteJobs(found) {
  const list = Array.isArray(found) ? found : [found];
  jobs.set(before => {
    const after = new Map(before);
    for (const job of list) {
      const old = after.get(job.id);
      // Answers and events may overtake each other: an ended job never runs again (a retry is a new job).
      if (!old || !hasEnded(old) || hasEnded(job)) after.set(job.id, job);
    }
    return after;
  });
  return found;
}

/** Starts a job (a JobRequest) and returns it. */
export const startJob = async request => noteJobs(await postOnce("/jobs", request));

/** Starts a batch: {batch, jobs}. */
export async function startBatch(request) {
  const found = await postOnce("/batches", request);
  noteJobs(found.jobs);
  return found;
}

export async function cancelJob(id) {
  const found = await post(`/jobs/${id}/cancel`);
  if (found?.id) noteJobs(found);
}

export const retryJob = async id => noteJobs(await post(`/jobs/${id}/retry`));

/** The job for a component; null until it is known. */
export function useJob(id) {
  const found = useStore(jobs, all => (id && all.get(id)) || null);
  const lost = useLost();
  useEffect(() => {
    if (!lost && id && !jobs.get().has(id)) get(`/jobs/${id}`).then(noteJobs).catch(() => {});
  }, [id, lost]);
  return found;
}

/** Waits until a job has ended and returns it. Throws ApiError with the job's sentence if it failed, and AbortError. */
export function jobEnd(id, signal) {
  return new Promise((resolve, reject) => {
    let stop = () => {};
    const check = () => {
      const job = jobs.get().get(id);
      if (!job || !hasEnded(job)) return false;
      stop();
      if (job.state === "failed") reject(new ApiError(job.error, 422, "failed"));
      else if (job.state === "cancelled") reject(new DOMException("cancelled", "AbortError"));
      else resolve(job);
      return true;
    };
    if (check()) return;
    const unsubscribe = jobs.subscribe(check);
    // In case the stream is blocked on the way: ask now and then.
    const timer = setInterval(() => get(`/jobs/${id}`).then(noteJobs).catch(() => {}), 4000);
    stop = () => { unsubscribe(); clearInterval(timer); };
    signal?.addEventListener("abort", () => { stop(); reject(new DOMException("cancelled", "AbortError")); });
  });
}

/** Starts a job and returns its result. */
export async function runJob(request, signal) {
  const job = await startJob(request);
  return (await jobEnd(job.id, signal)).result;
}

/** Loads the newest jobs, and those that the page believes unfinished. */
export async function loadJobs() {
  const found = await get("/jobs", { limit: 100 });
  const list = Array.isArray(found) ? found : found.items;
  noteJobs(list);
  const heard = new Set(list.map(job => job.id));
  const open = [...jobs.get().values()].filter(job => !hasEnded(job) && !heard.has(job.id));
  await eachOf(open.slice(0, 50), 2, async job => {
    try {
      noteJobs(await get(`/jobs/${job.id}`));
    } catch (problem) {
      if (problem.status === 404) jobs.set(before => new Map([...before].filter(([id]) => id !== job.id)));
      else throw problem;
    }
  });
}

// Live events.

/** "on", "off" (hidden or logged out), or "lost" while the page tries to connect again. */
export const connection = createStore("off");
let stream = null;
let retry = 0;
let wait = 1000;

function close(state) {
  stream?.close();
  stream = null;
  clearTimeout(retry);
  connection.set(state);
}

async function lost() {
  close("lost");
  retry = setTimeout(async () => {
    wait = Math.min(wait * 1.7, 15000);
    try {
      await loadMe(); // tells an ended session from a lost connection
      if (me.get()) open();
    } catch {
      lost();
    }
  }, wait * (0.7 + 0.6 * Math.random()));
}

function open() {
  if (stream || document.hidden || !me.get()) return;
  clearTimeout(retry);
  stream = new EventSource(address("/events"));
  stream.addEventListener("ready", () => {
    wait = 1000;
    connection.set("on");
    loadJobs().catch(() => {});
    galleryChanges.set(count => count + 1);
  });
  stream.addEventListener("job", event => noteJobs(JSON.parse(event.data)));
  stream.addEventListener("pictures", () => galleryChanges.set(count => count + 1));
  stream.onerror = lost;
}

/** Keeps the page up to date from now on. */
export function startEvents() {
  let closing = 0;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(closing);
    if (document.hidden) closing = setTimeout(() => close("off"), 3000);
    else open();
  });
  addEventListener("offline", () => { if (stream) loadMe().catch(lost); }); // its end is not told; a Studio may be near
  addEventListener("online", () => { if (connection.get() === "lost") open(); });
  addEventListener("pagehide", () => close("off"));
  addEventListener("pageshow", event => { if (event.persisted) open(); });
  me.subscribe(found => { if (found) open(); else close("off"); });
  if (me.get()) open();
}

/** A state that follows an asynchronous call: {value, error, reload}; `keys` as in useEffect. */
export function useLoaded(load, keys) {
  const [state, setState] = useState({ value: null, error: null });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const control = new AbortController();
    load(control.signal).then(
      value => { if (!control.signal.aborted) setState({ value, error: null }); },
      error => { if (!control.signal.aborted) setState(old => ({ value: old.value, error })); },
    );
    return () => control.abort();
  }, [...keys, turn]);
  return { ...state, reload: () => setTurn(count => count + 1) };
}
