"use strict";

const root = document.documentElement;
// A symbol lights up wherever it stands, and says what it is.
const hint = document.getElementById("hint");

function key(element) {
  return [...element.classList].find((each) => each in HINTS);
}

function light(name, on) {
  for (const each of document.getElementsByClassName(name)) each.classList.toggle("lit", on);
}

function explain(element, name) {
  const fact = HINTS[name];
  hint.replaceChildren();
  const head = document.createElement("b");
  head.textContent = fact.symbol;
  hint.append(head);
  const columns = document.querySelector("[name=convention][value=columns]:checked");
  const shape = (columns && fact.columns) || fact.shape;
  for (const text of [fact.meaning, `shape ${shape}`, fact.range && `values ${fact.range}`]) {
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

for (const element of document.querySelectorAll('[class*="s-"]')) {
  const name = key(element);
  if (!name) continue;
  const enter = () => { light(name, true); explain(element, name); };
  const leave = () => { light(name, false); hint.hidden = true; };
  element.addEventListener("pointerenter", enter);
  element.addEventListener("pointerleave", leave);
  if (element.matches(".pullback-equations td:first-child *")) {
    element.tabIndex = 0; // one stop a line: what the line defines
    element.addEventListener("focus", enter);
    element.addEventListener("blur", leave);
  }
}
addEventListener("keydown", (event) => { if (event.key === "Escape") hint.hidden = true; });

// Formulas as LaTeX, one line or all.
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

for (const row of document.querySelectorAll("tr[data-latex]")) {
  const columns = Math.max(...[...row.parentNode.rows].map((each) => each.querySelectorAll("td:not(.copy)").length));
  while (row.cells.length < columns) row.insertCell();
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button";
  button.textContent = "LaTeX";
  button.setAttribute("aria-label", "Copy this line as LaTeX");
  button.dataset.latex = row.dataset.latex;
  const cell = row.insertCell();
  cell.className = "copy";
  cell.append(button);
}
for (const button of document.querySelectorAll("button[data-latex]")) {
  const label = button.textContent;
  button.addEventListener("click", async () => {
    await copy(button.dataset.latex);
    button.textContent = "copied";
    document.getElementById("said").textContent = "copied";
    setTimeout(() => { button.textContent = label; }, 1500);
  });
}

// The contents say where one is.
const links = new Map([...document.querySelectorAll("nav a")].map((a) => [a.hash.slice(1), a]));
const seen = window.IntersectionObserver && new IntersectionObserver((entries) => {
  const entered = entries.find((each) => each.isIntersecting);
  if (!entered) return;
  for (const [name, link] of links) {
    if (name === entered.target.id) {
      link.setAttribute("aria-current", "true");
      const row = link.closest("ol");
      if (row.scrollWidth > row.clientWidth) row.scrollLeft = link.offsetLeft - row.clientWidth / 3;
    }
    else link.removeAttribute("aria-current");
  }
}, { rootMargin: "-20% 0px -70% 0px" });
for (const section of document.querySelectorAll("section")) seen?.observe(section);

// What scrolls can be scrolled by keyboard; what does not is no stop on the way.
function frames() {
  for (const each of document.querySelectorAll(".scroll")) {
    const wide = each.scrollWidth > each.clientWidth || each.scrollHeight > each.clientHeight;
    each.classList.toggle("wide", each.scrollWidth > each.clientWidth + 1);
    if (wide) each.tabIndex = 0;
    else each.removeAttribute("tabindex");
  }
}
frames();
addEventListener("resize", frames);

// On paper nothing can be opened.
let closed = [];
addEventListener("beforeprint", () => {
  closed = [...document.querySelectorAll("details:not([open])")];
  closed.forEach((each) => { each.open = true; });
});
addEventListener("afterprint", () => closed.forEach((each) => { each.open = false; }));
