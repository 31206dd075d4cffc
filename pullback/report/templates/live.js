// Try it: the network runs on what is drawn, or on what the sliders say, as soon as it changes.

const place = document.getElementById("try");
const PEN = 240; // pixels of the pad
const numbers = (packed) => new Float32Array(Uint8Array.from(atob(packed), (c) => c.charCodeAt(0)).buffer);
const params = Object.fromEntries(Object.entries(LIVE.params).map(([name, packed]) => [name, numbers(packed)]));
const x = Float32Array.from(LIVE.samples[0]);
let wanted = null; // a class or values that were chosen; null is what the network says

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in element && name !== "list") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function digits(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text = size >= 1e-3 && size < 1e4 ? size.toPrecision(3) : size.toExponential(1);
  return (value < 0 ? "−" : "") + text.replace("e-", "e−");
}

// Cells whose ink is the colour of their role where they are positive, and grey where negative.
class Cells {
  constructor(role, rows, columns, name) {
    const size = Math.min(Math.max(96 / Math.max(rows, columns), 2), 20);
    this.role = role;
    this.rows = rows;
    this.columns = columns;
    this.canvas = make("canvas", { width: columns, height: rows, className: "cells", role: "img" });
    this.canvas.style.width = `${Math.round(columns * size)}px`;
    this.canvas.style.height = `${Math.round(rows * size)}px`;
    this.range = make("small", { className: "range" });
    this.name = name;
    this.element = make("div", { className: "held" }, this.canvas, this.range);
    this.canvas.addEventListener("pointermove", (event) => this.point(event));
    this.canvas.addEventListener("pointerleave", () => this.tell());
  }

  show(values) {
    this.values = values;
    const brush = this.canvas.getContext("2d");
    const style = getComputedStyle(document.documentElement);
    const ink = style.getPropertyValue(`--${this.role}`), grey = style.getPropertyValue("--muted");
    const top = Math.max(...values.map(Math.abs), 1e-30);
    brush.clearRect(0, 0, this.columns, this.rows);
    values.slice(0, this.rows * this.columns).forEach((value, at) => {
      brush.globalAlpha = Math.min(1, Math.abs(value) / top) || 0;
      brush.fillStyle = value < 0 ? grey : ink;
      brush.fillRect(at % this.columns, Math.floor(at / this.columns), 1, 1);
    });
    this.tell();
  }

  tell() {
    const [low, high] = [Math.min(...this.values), Math.max(...this.values)];
    this.range.textContent = `${digits(low)} … ${digits(high)}`;
    this.canvas.setAttribute("aria-label", `${this.name}: ${this.values.length} values from ${digits(low)} to ${digits(high)}`);
  }

  point(event) {
    const box = this.canvas.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left) / box.width * this.columns);
    const row = Math.floor((event.clientY - box.top) / box.height * this.rows);
    const value = this.values[row * this.columns + column];
    if (value !== undefined) this.range.textContent = `unit ${row * this.columns + column + 1}: ${digits(value)}`;
  }
}

const symbol = (text, css, role) => make("span", { className: `symbol ${role} ${css}`, textContent: text });
const seen = LIVE.picture && new Cells("data", ...LIVE.picture, "What the network sees");
const stages = LIVE.layers.map((layer, at) => {
  const forward = new Cells("forward", ...layer.grid, layer.symbol);
  const back = new Cells("backward", ...layer.deltaGrid, layer.deltaSymbol);
  const element = make("div", { className: "stage" },
    make("div", { className: "head" }, symbol(layer.symbol, layer.css, "forward")),
    make("div", { className: "cell" }, forward.element),
    make("div", { className: "cell back" }, back.element),
    make("div", { className: "foot" }, symbol(layer.deltaSymbol, layer.deltaCss, "backward")));
  element.style.setProperty("--late", LIVE.layers.length - 1 - at);
  return { forward, back, element, layer };
});

// What is said, as bars or values, and what is wanted.
const names = LIVE.classes ?? Array.from({ length: LIVE.outputs }, (_, at) => `output ${at + 1}`);
const said = make("p", { className: "said", role: "status" });
const bars = names.map((name, at) => {
  const bar = make("i", { className: "bar forward" });
  const value = make("td", { className: "number" });
  const choose = make("button", { type: "button", className: "button", textContent: name });
  choose.setAttribute("aria-label", `${name} is wanted`);
  choose.addEventListener("click", () => want(wanted === at ? null : at));
  const head = LIVE.classes ? make("th", { scope: "row" }, choose) : make("th", { scope: "row", textContent: name });
  const row = make("tr", {}, head, make("td", { className: "lane" }, bar), value);
  return { bar, value, choose, row };
});
const table = make("table", { className: "says" }, make("tbody", {}, ...bars.map(({ row }) => row)));
const fields = LIVE.classes ? [] : LIVE.wanted[0].map((value, at) => {
  const field = make("input", { type: "number", step: "any", value: digits(value).replace("−", "-") });
  field.addEventListener("input", () => {
    wanted = fields.map((each) => (Number.isFinite(each.valueAsNumber) ? each.valueAsNumber : 0));
    run(true);
  });
  return field;
});
const wants = fields.map((field, at) => make("label", {}, `wanted${fields.length > 1 ? ` ${at + 1}` : ""} `, field));

function want(label) {
  wanted = label;
  run(true);
}

function estimate(output) {
  const values = [...output];
  if (LIVE.link === "exp") return values.map(Math.exp);
  if (LIVE.link === "sigmoid") return values.map((z) => 1 / (1 + Math.exp(-z)));
  if (LIVE.link !== "softmax") return values;
  const top = Math.max(...values);
  const grown = values.map((z) => Math.exp(z - top)), sum = grown.reduce((a, b) => a + b);
  return grown.map((each) => each / sum);
}

function target(label) {
  if (!LIVE.classes) return Float32Array.from(label);
  const low = LIVE.signs ? -1 : 0;
  if (LIVE.targets === 1) return Float32Array.of(label ? 1 : low);
  return Float32Array.from({ length: LIVE.targets }, (_, at) => (at === label ? 1 : low));
}

function run(flows = false) {
  const blank = LIVE.classes ? 0 : fields.map((field) => field.valueAsNumber || 0);
  let [loss, found] = trace(params, x, target(wanted ?? blank));
  let estimates = estimate(found.output);
  if (LIVE.classes && estimates.length === 1) estimates = [1 - estimates[0], estimates[0]];
  const first = estimates.indexOf(Math.max(...estimates));
  if (LIVE.classes && wanted === null) [loss, found] = trace(params, x, target(first));
  if (seen) seen.show([...x]);
  for (const { forward, back, layer, element } of stages) {
    forward.show([...found[layer.values]]);
    back.show([...found[layer.delta]]);
    element.classList.toggle("flows", false);
    if (flows) {
      void element.offsetWidth; // begin again
      element.classList.add("flows");
    }
  }
  const scale = LIVE.classes ? 1 : Math.max(...estimates.map(Math.abs), 1e-9);
  bars.forEach(({ bar, value, choose, row }, at) => {
    bar.style.width = `${100 * Math.min(1, Math.abs(estimates[at]) / scale)}%`;
    value.textContent = LIVE.classes ? `${(100 * estimates[at]).toFixed(1)} %` : digits(estimates[at]);
    row.classList.toggle("first", LIVE.classes !== null && at === first);
    choose.setAttribute("aria-pressed", String(at === wanted));
  });
  const what = LIVE.classes
    ? `The network says ${names[first]}, sure by ${(100 * estimates[first]).toFixed(1)} %. Wanted: ${wanted === null ? `the same; choose another` : names[wanted]}.`
    : `The network says ${estimates.map(digits).join(", ")}.`;
  said.textContent = `${what} Loss ${digits(loss)}.`;
}

// A pad: what is drawn is moved and scaled to where the data have their ink, then averaged.
function pad() {
  const [rows, columns] = LIVE.picture;
  const canvas = make("canvas", { width: PEN, height: PEN, className: "pad", tabIndex: 0 });
  canvas.setAttribute("aria-label", "Draw here. By keyboard: arrows move the pen, Space puts it down or lifts it.");
  canvas.setAttribute("role", "application");
  const brush = canvas.getContext("2d", { willReadFrequently: true });
  brush.lineWidth = PEN / 11;
  brush.lineCap = brush.lineJoin = "round";
  let before = null, pen = null;
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width * PEN, (event.clientY - box.top) / box.height * PEN];
  };
  const line = (to) => {
    brush.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue("--data");
    brush.beginPath();
    brush.moveTo(...(before ?? to));
    brush.lineTo(...to);
    brush.stroke();
    before = to;
    read();
  };
  const read = () => {
    const { data } = brush.getImageData(0, 0, PEN, PEN);
    const ink = (u, v) => data[4 * (v * PEN + u) + 3] / 255;
    let [top, bottom, left, right] = [PEN, 0, PEN, 0];
    for (let v = 0; v < PEN; v += 1) for (let u = 0; u < PEN; u += 1) if (ink(u, v) > 0.5) {
      [top, bottom, left, right] = [Math.min(top, v), Math.max(bottom, v + 1), Math.min(left, u), Math.max(right, u + 1)];
    }
    x.fill(LIVE.floor);
    if (bottom > top) {
      const [a, b, c, d] = LIVE.box;
      const scale = Math.max((bottom - top) / ((b - a) * rows), (right - left) / ((d - c) * columns));
      const [u0, v0] = [(left + right) / 2 - (c + d) / 2 * columns * scale, (top + bottom) / 2 - (a + b) / 2 * rows * scale];
      const FINE = 6; // points across a cell
      for (let at = 0; at < rows * columns; at += 1) {
        let sum = 0;
        for (let k = 0; k < FINE * FINE; k += 1) {
          const u = Math.floor(u0 + (at % columns + (k % FINE + .5) / FINE) * scale);
          const v = Math.floor(v0 + (Math.floor(at / columns) + (Math.floor(k / FINE) + .5) / FINE) * scale);
          if (u >= 0 && v >= 0 && u < PEN && v < PEN) sum += ink(u, v);
        }
        x[at] = LIVE.floor + (LIVE.top - LIVE.floor) * Math.min(1, 1.15 * sum / FINE ** 2);
      }
    }
    run();
  };
  const clear = () => { brush.clearRect(0, 0, PEN, PEN); before = null; };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    canvas.setPointerCapture(event.pointerId);
    if (!canvas.dataset.drawn) clear();
    canvas.dataset.drawn = "yes";
    before = null;
    wanted = null;
    line(place(event));
  });
  canvas.addEventListener("pointermove", (event) => { if (event.buttons & 1) line(place(event)); });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key === " ") before = before ? null : pen ??= [PEN / 2, PEN / 2];
    else if (step) pen = (pen ?? [PEN / 2, PEN / 2]).map((at, k) => Math.min(PEN, Math.max(0, at + step[k] * PEN / 16)));
    else return;
    event.preventDefault();
    if (before) { canvas.dataset.drawn = "yes"; line(pen); }
  });
  // A sample of the data stands on the pad as the cells that it is.
  const show = (values) => {
    clear();
    delete canvas.dataset.drawn;
    brush.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--data");
    values.forEach((value, at) => {
      brush.globalAlpha = (value - LIVE.floor) / (LIVE.top - LIVE.floor);
      brush.fillRect(at % columns * PEN / columns, Math.floor(at / columns) * PEN / rows, PEN / columns, PEN / rows);
    });
    brush.globalAlpha = 1;
  };
  const wipe = () => { clear(); canvas.dataset.drawn = "yes"; x.fill(LIVE.floor); wanted = null; run(); };
  return { element: canvas, show, wipe };
}

// A column's name, which may go on in a new line after _ or =.
function parts(name) {
  return name.split(/(?<=[_=])/).flatMap((part, at) => at ? [make("wbr"), part] : [part]);
}

function sliders() {
  const all = LIVE.columns.map(({ name, low, high }, at) => {
    const slider = make("input", { type: "range", min: low, max: high, step: (high - low) / 200 });
    const value = make("output");
    slider.addEventListener("input", () => { x[at] = slider.valueAsNumber; value.textContent = digits(x[at]); run(); });
    return { slider, value, element: make("label", { className: "slider" }, make("span", {}, ...parts(name)), slider, value) };
  });
  const show = (values) => all.forEach(({ slider, value }, at) => {
    slider.value = values[at];
    value.textContent = digits(values[at]);
  });
  return { element: make("div", { className: "sliders" }, ...all.map(({ element }) => element)), show };
}

const input = LIVE.picture ? pad() : sliders();
let sample = 0;
function pick(at) {
  sample = at;
  x.set(LIVE.samples[at]);
  wanted = LIVE.wanted[at];
  fields.forEach((field, k) => { field.value = wanted[k].toPrecision(4); });
  input.show(LIVE.samples[at]);
  run(true);
}
const next = make("button", { type: "button", className: "button", textContent: "Next sample" });
next.addEventListener("click", () => pick((sample + 1) % LIVE.samples.length));
const buttons = [next];
if (input.wipe) {
  buttons.unshift(make("button", { type: "button", className: "button", textContent: "Clear" }));
  buttons[0].addEventListener("click", input.wipe);
}
const from = make("div", { className: "stage" },
  make("div", { className: "head" }, symbol(LIVE.input.symbol, LIVE.input.css, "data")), make("div", { className: "cell" }, seen ? seen.element : ""));
place.replaceChildren(
  make("div", { className: "bench" },
    make("div", { className: "give" }, input.element, make("p", {}, ...buttons)),
    make("div", { className: "say" }, said, table, ...wants)),
  make("div", { className: "scroll", role: "region", ariaLabel: "Every value and every δ" },
    make("div", { className: "passage" }, ...(seen ? [from] : []), ...stages.map(({ element }) => element))),
  make("p", { className: "caption", textContent: "Above, what each layer makes, from left to right; below, δ as it comes back from the right. Colour is positive, grey negative; the deeper, the larger. Point at a cell for its number." }));
pick(0);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => pick(sample));
