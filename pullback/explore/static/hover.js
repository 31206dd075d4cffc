// A symbol that is pointed at lights up wherever it stands, and says what it is.

const hint = document.getElementById("hint");
const root = document.documentElement;
let lit = null;

// facts() has what is known of symbols, by their class.
export function hover(section, facts) {
  const find = (target) => {
    for (let at = target; at && at !== section; at = at.parentElement) {
      const name = [...at.classList].find((each) => each in facts());
      if (name) return [at, name];
    }
    return null;
  };
  for (const event of ["pointerover", "focusin"]) {
    section.addEventListener(event, ({ target }) => {
      const found = find(target);
      if (found?.[1] !== lit?.name) leave();
      if (found) enter(section, ...found, facts()[found[1]]);
    });
  }
  section.addEventListener("pointerleave", leave);
  section.addEventListener("focusout", leave);
}

addEventListener("keydown", (event) => { if (event.key === "Escape") leave(); });

function enter(section, element, name, fact) {
  if (lit) return;
  lit = { section, name };
  for (const each of section.getElementsByClassName(name)) each.classList.add("lit");
  hint.replaceChildren();
  const head = document.createElement("b");
  head.textContent = fact.symbol;
  hint.append(head);
  for (const text of [fact.definition, fact.meaning, fact.shape && `shape ${fact.shape}`, fact.range && `value ${fact.range}`]) {
    if (!text) continue;
    const line = document.createElement("span");
    line.textContent = text;
    hint.append(line);
  }
  hint.hidden = false;
  const box = element.getBoundingClientRect();
  const most = root.clientWidth - hint.offsetWidth - 8;
  hint.style.left = `${Math.max(8, Math.min(box.left, most)) + scrollX}px`;
  hint.style.top = `${box.bottom + 8 + scrollY}px`;
}

function leave() {
  if (!lit) return;
  for (const each of lit.section.getElementsByClassName(lit.name)) {
    if (each.classList.contains("lit")) each.classList.remove("lit");
  }
  lit = null;
  hint.hidden = true;
}
