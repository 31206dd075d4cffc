// A formula is typed; its derivative, its picture, its code and its steps follow at once.

import { Question, tell } from "./server.js";

const SOON = 220; // milliseconds after the last key
const PATIENCE = 700; // until what is half typed counts as wrong
const EXAMPLES = [
  ["quadratic form", { text: "0.5*x'*A*x" }],
  ["trace", { text: "tr(A*X'*B*X*C)", wrt: "X" }],
  ["log det", { text: "log(det(X))", axes: { X: "n n" } }],
  ["least squares", { text: "sum((X@w - y)**2)/2", wrt: "w", order: "2", axes: { X: "n d", w: "d", y: "n" } }],
  ["logistic regression", { text: "sum(log(exp(-y.*(X*w)) + vector(1)))", wrt: "w" }],
  ["softmax cross-entropy", { text: "-sum(Y*log(softmax(X@W, axis='k')))", wrt: "W", axes: { X: "n d", W: "d k", Y: "n k" } }],
  ["Jacobian", { text: "A@exp(x)", wrt: "x", axes: { A: "m n", x: "n" } }],
  ["inverse", { text: "inv(X)", wrt: "X", axes: { X: "n n" } }],
  ["symmetric", { text: "logdet(S)", wrt: "S", axes: { S: "n n sym" } }],
  ["attention", { text: "softmax(Q@K.T, axis='m')@V", wrt: "Q", axes: { Q: "n d", K: "m d", V: "m e" } }],
];

const element = (id) => document.getElementById(id);
const CHOICES = ["order", "dialect", "symmetric", "layout"];
const question = new Question(), sources = new Question();
let axes = {}, wrt = "", latex = "", text = "", source = "", waiting = 0, asks = 0, typed = -PATIENCE;

// The address holds the question, so that it can be sent and kept.
function read() {
  const told = new URLSearchParams(location.hash.slice(1));
  return {
    text: told.get("f") ?? "",
    wrt: told.get("by") ?? "",
    axes: Object.fromEntries(told.getAll("axes").map((each) => {
      const at = each.indexOf(":");
      return [each.slice(0, at), each.slice(at + 1)];
    })),
    ...Object.fromEntries(CHOICES.map((name) => [name, told.get(name) ?? ""])),
  };
}

function write() {
  const told = new URLSearchParams({ f: element("text").value });
  if (wrt) told.set("by", wrt);
  for (const name of CHOICES) {
    const { value, options } = element(name);
    if (value !== options[0].value) told.set(name, value);
  }
  for (const [name, over] of Object.entries(axes)) told.append("axes", `${name}:${over}`);
  history.replaceState(null, "", `#${told}`);
}

function put(asked) {
  element("text").value = asked.text;
  axes = { ...asked.axes };
  wrt = asked.wrt ?? "";
  for (const name of CHOICES) {
    const field = element(name), known = [...field.options].map((each) => each.value);
    field.value = known.includes(asked[name]) ? asked[name] : known[0];
  }
  ask();
}

function asked() {
  return {
    text: element("text").value,
    axes,
    wrt,
    order: Number(element("order").value),
    dialect: element("dialect").value,
    symmetric: element("symmetric").value,
    layout: element("layout").value,
    width: Math.floor(element("diagram").clientWidth),
  };
}

async function ask() {
  clearTimeout(waiting);
  const turn = ++asks;
  document.body.dataset.shown = "old";
  write();
  let found;
  try {
    found = await question.ask("view", { view: "formula", formula: asked() });
  } catch (fault) {
    found = { fault: { message: fault.message, place: "" } };
  }
  if (!found || turn !== asks) return;
  if (found.fault) {
    const left = typed + PATIENCE - performance.now();
    if (left > 0 && element("fault").hidden) await new Promise((done) => { setTimeout(done, left); });
    if (turn !== asks) return;
    complain(found.fault);
    return;
  }
  complain(null);
  show(found);
  document.body.classList.remove("first");
  document.body.dataset.shown = "formula";
  await code();
  if (turn === asks) document.body.dataset.shown = "all";
}

function complain(fault) {
  element("fault").hidden = !fault;
  element("text").toggleAttribute("aria-invalid", Boolean(fault));
  if (!fault) return;
  tell(element("fault-told"), fault);
  element("fault-place").textContent = fault.place;
  element("fault-place").hidden = !fault.place;
  document.body.dataset.shown = "fault";
}

function show(found) {
  ({ latex, text, wrt } = found);
  element("answer-title").textContent = found.scalar ? "The gradient" : "The derivative of every entry";
  element("result").innerHTML = found.result;
  latex = [...element("result").querySelectorAll("tr")].map((row) => row.dataset.latex).join(" \\\\\n");
  element("proof").textContent = found.proof;
  element("proof").classList.toggle("wrong", !found.proven);
  element("notes").replaceChildren(...found.notes.map((note) => {
    const item = document.createElement("li");
    item.textContent = note;
    return item;
  }));
  element("diagram").innerHTML = found.diagram || "<p>This one is too large to be drawn.</p>";
  element("steps").innerHTML = found.steps;
  element("symmetric-field").hidden = !found.symmetric;
  element("layout-field").hidden = found.scalar;
  names(found.variables);
  write();
  frames();
}

// The variables that occur: one of them to differentiate by, and the axes of each.
function names(variables) {
  const pick = element("wrt");
  pick.replaceChildren(...variables.map(({ name }) => new Option(name, name, false, name === wrt)));
  const before = new Map([...element("names").children].map((each) => [each.dataset.name, each]));
  const rows = variables.map((each) => {
    const row = before.get(each.name) ?? row_of(each.name), field = row.querySelector("input");
    if (document.activeElement !== field) field.value = each.axes;
    return row;
  });
  const same = rows.length === before.size && rows.every((row, at) => row === element("names").children[at]);
  if (!same) element("names").replaceChildren(...rows); // what has the focus keeps it
}

function row_of(name) {
  const row = document.createElement("label"), field = document.createElement("input");
  row.dataset.name = name;
  row.append(name, field);
  Object.assign(field, { autocomplete: "off", spellcheck: false, placeholder: "a number", maxLength: 60 });
  field.autocapitalize = "off";
  field.setAttribute("aria-label", `Axes of ${name}`);
  field.addEventListener("input", () => {
    axes[name] = field.value;
    soon();
  });
  return row;
}

async function code() {
  const target = element("target").value;
  let found;
  try {
    found = await sources.ask("view", { view: "formula", formula: { ...asked(), code: target } });
  } catch (fault) {
    found = { fault };
  }
  if (!found) return;
  source = found.source ?? "";
  element("code").textContent = found.source ?? found.fault.message;
  element("code").dataset.target = target;
  element("copy-code").disabled = !source;
  frames();
}

function soon() {
  typed = performance.now();
  clearTimeout(waiting);
  waiting = setTimeout(ask, SOON);
}

async function copy(words, button) {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(words);
    button.textContent = "copied";
  } catch {
    button.textContent = "not allowed";
  }
  element("said").textContent = button.textContent;
  setTimeout(() => { button.textContent = label; }, 1500);
}

// What scrolls can be scrolled by keyboard; what does not is no stop on the way.
function frames() {
  for (const each of document.querySelectorAll(".scroll")) {
    const wide = each.scrollWidth > each.clientWidth || each.scrollHeight > each.clientHeight;
    if (wide) each.tabIndex = 0;
    else each.removeAttribute("tabindex");
  }
}

element("examples").append(...EXAMPLES.map(([label, example]) => {
  const button = document.createElement("button");
  Object.assign(button, { type: "button", className: "button", textContent: label, title: example.text });
  button.addEventListener("click", () => put({ axes: {}, ...example }));
  return button;
}));
element("asked").addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
element("text").addEventListener("input", soon);
for (const name of CHOICES) element(name).addEventListener("change", ask);
element("wrt").addEventListener("change", () => {
  wrt = element("wrt").value;
  ask();
});
element("target").addEventListener("change", code);
element("copy-latex").addEventListener("click", ({ target }) => copy(latex, target));
element("copy-text").addEventListener("click", ({ target }) => copy(text, target));
element("copy-link").addEventListener("click", ({ target }) => copy(location.href, target));
element("copy-code").addEventListener("click", ({ target }) => copy(source, target));
addEventListener("hashchange", () => put(read()));
let seen = 0;
addEventListener("resize", () => {
  frames();
  const now = element("diagram").clientWidth;
  if (now !== seen && seen) soon();
  seen = now;
});

const start = read();
put(start.text ? start : { axes: {}, ...EXAMPLES[0][1] });
