// Requests to the server, and its errors in plain words.

export class Fault extends Error {
  constructor({ kind, message, status }) {
    super(message);
    this.kind = kind;
    this.status = status;
  }
}

const GONE = "pullback explore does not answer; is it still running in its terminal?";

export async function post(path, body, signal) {
  let response;
  try {
    response = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      signal,
    });
  } catch (problem) {
    if (problem.name === "AbortError") throw problem;
    throw new Fault({ kind: "Gone", message: GONE, status: 0 });
  }
  const answer = await response.json();
  if (!response.ok) throw new Fault(answer.error);
  return answer;
}

// One question at a time: a newer one makes the older one void.
export class Question {
  #asked = null;

  async ask(path, body) {
    this.#asked?.abort();
    const asked = this.#asked = new AbortController();
    try {
      return await post(path, body, asked.signal);
    } catch (problem) {
      if (problem.name === "AbortError") return null;
      throw problem;
    }
  }
}

// Shows a fault in its place, or takes it away; a sentence begins with a capital and ends.
export function tell(place, fault) {
  place.hidden = !fault;
  if (!fault) return;
  const text = fault.message.trim();
  place.textContent = text[0].toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}
