// The graph of neurons, filled cell by cell in the order of the dynamic programme.

import { hover } from "./hover.js";
import { Question, tell } from "./server.js";

const element = (id) => document.getElementById(id);
const BACKWARD = new Set(["s", "v", "g"]);

export class Neurons {
  #question = new Question(); #setup = null; #params = null; #steps = []; #hints = {}; #at = 0;

  constructor() {
    element("next").addEventListener("click", () => this.#go(this.#at + 1));
    element("back").addEventListener("click", () => this.#go(this.#at - 1));
    element("first").addEventListener("click", () => this.#go(0));
    element("all").addEventListener("click", () => this.#go(this.#steps.length));
    element("sample").addEventListener("change", () => this.#ask());
    element("weights").addEventListener("change", () => this.#ask());
    const graph = element("graph");
    for (const event of ["pointerover", "focusin"]) {
      graph.addEventListener(event, ({ target }) => {
        const node = target.closest(".node");
        if (node) this.#look(node.dataset.node);
      });
    }
    for (const event of ["pointerleave", "focusout"]) {
      graph.addEventListener(event, () => this.#light());
    }
    hover(element("cards"), () => this.#hints);
  }

  show(setup) {
    this.#setup = setup;
    return this.#ask();
  }

  // Parameters of the training, or null where nothing has been learnt.
  learnt(params) {
    const before = this.#params;
    this.#params = params;
    const trained = element("weights").options[1];
    trained.disabled = !params;
    if (params || !before) return;
    element("weights").value = "start";
  }

  async #ask() {
    const params = element("weights").value === "trained" ? this.#params : null;
    const sample = element("sample").valueAsNumber;
    try {
      const found = await this.#question.ask("view", { view: "neurons", setup: this.#setup, sample, params });
      if (!found) return;
      tell(element("neurons-fault"), null);
      this.#draw(found);
    } catch (fault) {
      tell(element("neurons-fault"), fault);
    }
  }

  #draw({ svg, cards, hints, steps, told, samples }) {
    element("graph").innerHTML = svg;
    element("cards").innerHTML = cards.join("");
    element("neurons-verdict").textContent = `${told} Every gradient takes ${steps.length} cells.`;
    element("sample").max = samples - 1;
    const alike = steps.length === this.#steps.length;
    this.#steps = steps;
    this.#hints = hints;
    this.#go(alike ? this.#at : 0);
  }

  // Fill so many cells.
  #go(count) {
    const had = document.activeElement;
    this.#at = Math.max(0, Math.min(count, this.#steps.length));
    element("back").disabled = element("first").disabled = this.#at === 0;
    element("next").disabled = element("all").disabled = this.#at === this.#steps.length;
    if (had?.disabled) element(this.#at ? "back" : "next").focus();
    this.#steps.forEach((step, k) => this.#fill(step, k < this.#at, k === this.#at - 1));
    const now = this.#steps[this.#at - 1];
    element("cell").textContent = now
      ? `Cell ${this.#at} of ${this.#steps.length}, ${now.where}: ${now.text}`
      : "Nothing is filled yet but the sample and the weights. Press Next.";
    this.#light();
  }

  #fill({ node, row, kind, key }, filled, now) {
    const line = element("cards").querySelectorAll(`[data-card="${node}"] tr`)[row];
    line.classList.toggle("empty", !filled);
    line.classList.toggle("now", now);
    const symbol = element("graph").querySelector(`.${key}`);
    if (!symbol) return; // d, t and s stand in the cards alone
    const label = symbol.closest(".label");
    const cell = label ?? (kind === "v" ? symbol : symbol.nextElementSibling);
    cell.classList.toggle("empty", !filled);
  }

  // The cell that was filled last: its node, its card, and the edges that it is made from.
  #light() {
    const now = this.#steps[this.#at - 1];
    this.#choose(now ? now.node : this.#steps[0]?.node);
    const used = new Set((now?.edges ?? []).map((pair) => pair.join()));
    const back = now && BACKWARD.has(now.kind);
    this.#edges((each) => used.has(each) && (back ? "out-of" : "into"));
  }

  // A node that is pointed at: its card, what comes in and what goes out.
  #look(node) {
    this.#choose(node);
    this.#edges((each) => {
      const [from, to] = each.split(",");
      return to === node ? "into" : from === node && "out-of";
    });
  }

  #choose(node) {
    for (const each of element("graph").querySelectorAll(".node")) {
      each.classList.toggle("chosen", each.dataset.node === node);
    }
    for (const each of element("cards").querySelectorAll(".card")) {
      each.classList.toggle("chosen", each.dataset.card === node);
    }
  }

  #edges(way) {
    for (const each of element("graph").querySelectorAll(".edge")) {
      const found = way(`${each.dataset.from},${each.dataset.to}`);
      each.classList.toggle("into", found === "into");
      each.classList.toggle("out-of", found === "out-of");
    }
  }
}
