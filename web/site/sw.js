// The service worker: it keeps the page for use without a network, and isolates it from other origins, so that the
// painter may use several threads on any server. The build fills in the files with their hashes (SHA-256, base64), and
// the hash of that list.

const FILES = {};
const NAME = "sfumato-web";
const BUILD = "";
const VERSION = `${NAME}-${BUILD}`;
const LARGE = /^(model\/|samples\/)/; // what the page itself asks for while it starts
const HEADERS = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
  // That of index.html, also for its workers, which do not inherit it.
  "Content-Security-Policy":
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; " +
    "img-src 'self' blob:; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'",
};

/** The file of the page that an address names; undefined for all others. */
function fileOf(address) {
  const url = new URL(address);
  const scope = new URL(registration.scope);
  if (url.origin !== scope.origin || !url.pathname.startsWith(scope.pathname)) return undefined;
  const path = url.pathname.slice(scope.pathname.length) || "index.html";
  return path in FILES ? path : undefined;
}

/** The answer with the headers that isolate the page. */
function isolated(answer) {
  const headers = new Headers(answer.headers);
  for (const [name, value] of Object.entries(HEADERS)) headers.set(name, value);
  return new Response(answer.body, { status: answer.status, statusText: answer.statusText, headers });
}

/** Fetches a file, checks it against its hash, and keeps it. */
async function keep(path) {
  const cache = await caches.open(VERSION);
  const address = new URL(path, registration.scope).href;
  const answer = await fetch(address, { integrity: `sha256-${FILES[path]}`, cache: "no-cache" });
  if (answer.ok) await cache.put(address, answer.clone());
  return answer;
}

addEventListener("install", event => {
  const shell = Object.keys(FILES).filter(path => !LARGE.test(path));
  // A new version waits until no page of the old one is open: their files do not mix.
  event.waitUntil(Promise.all(shell.map(keep)).then(() => (registration.active ? undefined : skipWaiting())));
});

addEventListener("activate", event => {
  event.waitUntil(
    (async () => {
      const old = (await caches.keys()).filter(name => name.startsWith(NAME) && name !== VERSION);
      await Promise.all(old.map(name => caches.delete(name)));
      await clients.claim();
    })(),
  );
});

addEventListener("fetch", event => {
  if (event.request.method !== "GET") return;
  const path = fileOf(event.request.url);
  if (path === undefined) return;
  event.respondWith(
    (async () => {
      const kept = await caches.match(new URL(path, registration.scope).href, { cacheName: VERSION });
      return isolated(kept ?? (await keep(path)));
    })(),
  );
});

// The page asks for all files that it has not asked for yet, and is told when they are there.
addEventListener("message", event => {
  if (event.data !== "keep all") return;
  event.waitUntil(
    (async () => {
      const cache = await caches.open(VERSION);
      for (const path of Object.keys(FILES)) {
        if (!(await cache.match(new URL(path, registration.scope).href))) await keep(path);
      }
      event.source?.postMessage("all kept");
    })().catch(() => event.source?.postMessage("not all kept")),
  );
});
