// The one stream of this browser, shared by its pages; it ends with the last of them.

const base = new URL("..", location.href);
const browser = crypto.randomUUID();
const ports = new Map();

const stream = new EventSource(new URL(`events?browser=${browser}`, base));
const open = new Promise((resolve) => stream.addEventListener("open", resolve, { once: true }));

stream.onmessage = ({ data }) => {
  const event = JSON.parse(data);
  ports.get(event.page)?.postMessage(event);
};
stream.onerror = () => {
  for (const [page, port] of ports) port.postMessage({ page, event: "lost" });
};

onconnect = ({ ports: [port] }) => {
  port.onmessage = async ({ data: { page } }) => {
    ports.set(page, port);
    navigator.locks.request(page, () => leave(page)); // granted when the page is gone
    await open;
    port.postMessage({ browser });
  };
};

async function leave(page) {
  ports.delete(page);
  const body = JSON.stringify({ page });
  const headers = { "Content-Type": "application/json" };
  await fetch(new URL("leave", base), { method: "POST", headers, body }).catch(() => {});
}
