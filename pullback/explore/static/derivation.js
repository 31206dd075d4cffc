// The derivation in the convention that is chosen; each line is copied as LaTeX by a button.

import { hover } from "./hover.js";
import { Question, tell } from "./server.js";

const element = (id) => document.getElementById(id);

export class Derivation {
  #question = new Question(); #setup = null; #facts = {}; #latex = "";

  constructor() {
    element("conventions").addEventListener("change", () => this.show(this.#setup));
    element("copy-all").addEventListener("click", ({ target }) => copy(this.#latex, target));
    element("equations").addEventListener("click", ({ target }) => {
      const row = target.matches("button") && target.closest("tr");
      if (row) copy(row.dataset.latex, target);
    });
    hover(element("equations"), () => this.#facts);
  }

  async show(setup) {
    this.#setup = setup;
    const convention = document.querySelector("input[name=convention]:checked").value;
    try {
      const found = await this.#question.ask("view", { view: "derivation", setup, convention });
      if (!found) return;
      tell(element("derivation-fault"), null);
      this.#draw(found, convention);
    } catch (fault) {
      tell(element("derivation-fault"), fault);
    }
  }

  #draw({ html, latex, equations, symbols }, convention) {
    const open = new Map([...element("equations").querySelectorAll("details")]
      .map((each) => [each.querySelector("summary").textContent, each.open]));
    element("equations").innerHTML = html;
    element("equations").dataset.convention = convention;
    this.#latex = latex;
    this.#facts = symbols;
    element("derivation-verdict").textContent =
      `${equations}: each error δ is made once, from the one after it, and gives the gradients of its layer.`;
    for (const each of element("equations").querySelectorAll("details")) {
      const before = open.get(each.querySelector("summary").textContent);
      if (before !== undefined) each.open = before;
    }
    for (const row of element("equations").querySelectorAll("tr[data-latex]")) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "button";
      button.textContent = "LaTeX";
      button.setAttribute("aria-label", `Copy equation ${row.cells[0].textContent} as LaTeX`);
      const symbol = [...row.cells[1].querySelectorAll("[class]")].find((each) => this.#name(each));
      if (symbol) {
        symbol.tabIndex = 0; // one stop a line: what the line defines
        this.#facts[this.#name(symbol)].meaning = `defined in ${row.cells[0].textContent}`;
      }
      if (row.cells.length < 4) row.insertCell(); // where others have a remark
      row.insertCell().append(button);
    }
  }

  #name(each) {
    return [...each.classList].find((name) => name in this.#facts);
  }
}

async function copy(text, button) {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "copied";
  } catch {
    button.textContent = "not allowed";
  }
  element("said").textContent = button.textContent;
  setTimeout(() => { button.textContent = label; }, 1500);
}
