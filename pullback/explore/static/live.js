// What is told of this page's training, live. Browsers grant a server six connections, so all pages
// share one stream, which live-worker.js holds; a page that is closed lets go of its lock there.

export const page = crypto.randomUUID();

// handle(event) is called for each event of this page; resolves to the name of the shared stream.
export async function listen(handle) {
  if (!window.SharedWorker || !navigator.locks) {
    throw new Error("this browser is too old for live charts: it has no shared workers");
  }
  const { port } = new SharedWorker("static/live-worker.js", { type: "module", name: "pullback" });
  await held(page);
  return new Promise((resolve) => {
    port.onmessage = ({ data }) => {
      if (data.browser) resolve(data.browser);
      else handle(data);
    };
    port.postMessage({ page });
  });
}

// Resolves once the lock is held; it is held as long as the page lives.
function held(name) {
  return new Promise((resolve) => {
    navigator.locks.request(name, () => {
      resolve();
      return new Promise(() => {});
    });
  });
}
