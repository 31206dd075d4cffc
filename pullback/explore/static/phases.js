// The phase diagram: a map of ln χ₁ over the scales of weights and biases.

import { make, onWidth, short, tick, ticks } from "./svg.js";

const LEFT = 58, RIGHT = 18, TOP = 10, BOTTOM = 46, HEIGHT = 250;

export class Phases {
  #figure; #holder; #data = null;

  constructor(figure) {
    this.#figure = figure;
    this.#holder = document.createElement("div");
    this.#holder.className = "canvas";
    this.#holder.style.height = `${HEIGHT}px`;
    this.#holder.setAttribute("role", "img");
    const legend = document.createElement("ul");
    legend.className = "legend";
    legend.append(item("here", "M8 2l10 10m0 -10l-10 10", "this network"),
      item("critical", "M0 7H26", "δ keeps its size"));
    this.#figure.prepend(legend, this.#holder);
    onWidth(this.#holder, () => this.#draw());
  }

  show(data) {
    this.#data = data;
    this.#figure.hidden = !data;
    if (!data) return;
    const { here } = data;
    const chi = at(data, here.x, here.y);
    const phase = Math.abs(chi) < 0.02 ? "on the line" : chi < 0 ? "where δ dies out" : "where δ explodes";
    this.#holder.setAttribute("aria-label",
      `Phase diagram: the network is at σ_w ${short(here.x)}, σ_b ${short(here.y)}, ${phase}.`);
    this.#draw();
  }

  #draw() {
    const width = this.#holder.clientWidth;
    if (!width || !this.#data) return;
    const { sigma_w: w, sigma_b: b, chi, line, here } = this.#data;
    const floor = HEIGHT - BOTTOM;
    const px = (v) => LEFT + (v - w[0]) / (w.at(-1) - w[0]) * (width - LEFT - RIGHT);
    const py = (v) => floor - (v - b[0]) / (b.at(-1) - b[0]) * (floor - TOP);
    const dw = px(w[1]) - px(w[0]), db = py(b[0]) - py(b[1]);
    const cells = [];
    chi.forEach((row, j) => row.forEach((value, i) => {
      const depth = Math.round(10 * Math.min(1, Math.abs(value ?? 0)));
      if (!depth) return;
      cells.push(make("rect", {
        class: value < 0 ? "shrinks" : "grows", x: (px(w[i]) - dw / 2).toFixed(2),
        y: (py(b[j]) - db / 2).toFixed(2), width: dw.toFixed(2), height: db.toFixed(2),
        opacity: (0.06 * depth).toFixed(2),
      }));
    }));
    const clip = make("clipPath", { id: "phase-clip" },
      make("rect", { x: LEFT, y: TOP, width: width - LEFT - RIGHT, height: floor - TOP }));
    const known = line.x.map((v, k) => [v, line.y[k]]).filter(([v]) => v !== null);
    const parts = [make("defs", {}, clip), make("g", { "clip-path": "url(#phase-clip)" }, ...cells,
      make("path", { class: "critical", d: known.length ? `M${known.map(([x, y]) => `${px(x)} ${py(y)}`).join("L")}` : "" }))];
    for (const value of ticks(w[0], w.at(-1), 5)) parts.push(text(px(value), floor + 19, tick(value)));
    for (const value of ticks(b[0], b.at(-1), 4)) parts.push(text(LEFT - 8, py(value) + 4, tick(value), "end"));
    parts.push(make("text", { class: "phase start", x: LEFT + 10, y: TOP + 22 }, "δ dies out"));
    parts.push(make("text", { class: "phase end", x: width - RIGHT - 10, y: floor - 14 }, "δ explodes"));
    parts.push(make("path", { class: "axis", d: `M${LEFT} ${TOP}V${floor}H${width - RIGHT}` }));
    const lowered = (letter) => make("tspan", { dy: 3, "font-size": "75%" }, letter), back = (words) => make("tspan", { dy: -3 }, words);
    parts.push(make("text", { class: "middle", x: (LEFT + width - RIGHT) / 2, y: HEIGHT - 6 }, "σ", lowered("w"), back(", scale of the weights")));
    parts.push(make("text", { class: "middle", transform: `translate(12 ${(TOP + floor) / 2}) rotate(-90)` }, "σ", lowered("b"), back(", biases")));
    const [x, y] = [px(here.x), Math.min(py(here.y), floor - 7)];
    parts.push(make("path", { class: "here halo", d: `M${x - 7} ${y - 7}l14 14m0 -14l-14 14` }));
    parts.push(make("path", { class: "here", d: `M${x - 7} ${y - 7}l14 14m0 -14l-14 14` }));
    this.#holder.replaceChildren(make("svg",
      { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, "aria-hidden": "true" }, ...parts));
  }
}

function item(css, d, name) {
  const entry = document.createElement("li");
  entry.append(make("svg", { width: 26, height: 14, "aria-hidden": "true" }, make("path", { class: css, d })), name);
  return entry;
}

function text(x, y, words, anchor = "middle") {
  return make("text", { class: anchor, x, y }, words);
}

function at({ sigma_w: w, sigma_b: b, chi }, x, y) {
  const near = (all, v) => all.reduce((best, each, k) => Math.abs(each - v) < Math.abs(all[best] - v) ? k : best, 0);
  return chi[near(b, y)][near(w, x)] ?? 0;
}
