// A chart of lines, dots and a band: pointed at, or walked through by the arrow keys, it says its
// values; its data are behind a button.

import { make, onWidth, power, short, tick, ticks } from "./svg.js";

const LEFT = 58, RIGHT = 14, TOP = 10, BOTTOM = 46;
const MOST_POINTS = 500;

export class Chart {
  #figure; #options; #data = null; #holder; #legend; #readout; #cursor = null;

  // options: label, x (its name), y, log, height
  constructor(figure, options) {
    this.#figure = figure;
    this.#options = { height: 250, log: false, ...options };
    this.#holder = document.createElement("div");
    this.#holder.className = "canvas";
    this.#holder.style.height = `${this.#options.height}px`;
    this.#holder.tabIndex = 0;
    this.#holder.setAttribute("role", "img");
    this.#holder.setAttribute("aria-label", `${options.label}: nothing yet`);
    this.#legend = document.createElement("ul");
    this.#legend.className = "legend";
    this.#readout = document.createElement("output");
    this.#readout.className = "readout";
    figure.prepend(this.#legend, this.#holder, this.#readout);
    figure.querySelector("figcaption").append(" ", this.#button());
    this.#holder.addEventListener("pointermove", (event) => this.#point(event));
    this.#holder.addEventListener("pointerleave", () => this.#walk(null));
    this.#holder.addEventListener("blur", () => this.#walk(null));
    this.#holder.addEventListener("keydown", (event) => this.#key(event));
    onWidth(this.#holder, () => this.#draw());
    this.show({ x: [], series: [] });
  }

  // data: x (numbers), names (of x, optional), series [{name, css, values, dots, dash}], band
  show(data) {
    this.#data = data;
    this.#cursor = null;
    this.#describe();
    this.#draw();
  }

  #describe() {
    const { x, series } = this.#data;
    const ends = series.filter((each) => each.values.some((v) => v !== null)).map((each) => {
      const known = each.values.filter((v) => v !== null);
      return `${each.name} from ${short(known[0])} to ${short(known.at(-1))}`;
    });
    const told = x.length ? ends.join("; ") : "nothing yet";
    this.#holder.setAttribute("aria-label", `${this.#options.label}: ${told}`);
    this.#legend.replaceChildren(...series.map((each) => {
      const item = document.createElement("li");
      item.append(key(each), each.name);
      return item;
    }));
  }

  #scales() {
    const { log } = this.#options;
    const { x, series, band } = this.#data;
    const width = this.#holder.clientWidth, height = this.#options.height;
    const all = [...series.flatMap((each) => each.values), ...(band ?? []).flat()]
      .filter((v) => v !== null && Number.isFinite(v) && (!log || v > 0));
    let [low, high] = extent(all.map((v) => log ? Math.log10(v) : v));
    if (all.length === 0) [low, high] = log ? [-1, 0] : [0, 1];
    const least = log ? 0.3 : 0.05 * Math.max(Math.abs(high), 1e-12);
    const pad = Math.max(0.06 * (high - low), (least - (high - low)) / 2, 1e-12);
    low = log || low < 0 ? low - pad : Math.max(0, low - pad);
    high += pad;
    const first = x.length ? Math.min(...x) : 0;
    const last = Math.max(x.length ? Math.max(...x) : 1, first + 1);
    const room = this.#data.names ? 0.35 : 0;
    return {
      width, height, low, high, first, last,
      px: (v) => LEFT + (v - first + room) / (last - first + 2 * room) * (width - LEFT - RIGHT),
      py: (v) => height - BOTTOM - ((log ? Math.log10(v) : v) - low) / (high - low) * (height - TOP - BOTTOM),
    };
  }

  #draw() {
    if (!this.#holder.clientWidth || !this.#data) return;
    const scales = this.#scales();
    const { width, height } = scales;
    const { x, series, band } = this.#data;
    const drawn = thinned(x.length);
    const parts = [...this.#axes(scales)];
    if (band?.length) {
      const up = band.map(([, high], at) => [scales.px(x[at]), scales.py(high)]);
      const down = band.map(([low], at) => [scales.px(x[at]), scales.py(low)]).reverse();
      parts.push(make("path", { class: "band", d: `${path([...up, ...down])}Z` }));
    }
    for (const each of series) {
      const places = drawn.map((at) => [x[at], each.values[at]])
        .filter(([, v]) => v !== null && v !== undefined && (!this.#options.log || v > 0))
        .map(([a, v]) => [scales.px(a), scales.py(v)]);
      if (each.dots || places.length === 1) {
        parts.push(...places.map(([a, b]) => dot(each, a, b)));
      } else {
        parts.push(make("path", { class: `line ${each.css}`, "stroke-dasharray": each.dash, d: path(places) }));
      }
    }
    if (this.#cursor !== null) {
      const at = scales.px(x[this.#cursor]);
      parts.push(make("path", { class: "cursor", d: `M${at} ${TOP}V${height - BOTTOM}` }));
    }
    this.#holder.replaceChildren(
      make("svg", { viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" }, ...parts),
    );
    this.#holder.scales = scales;
  }

  #axes({ width, height, low, high, first, last, px, py }) {
    const { log, x: xName, y: yName } = this.#options;
    const parts = [], floor = height - BOTTOM;
    for (const [value, text] of log ? decades(low, high) : ticks(low, high, 5).map((v) => [v, tick(v)])) {
      const at = py(value);
      parts.push(make("path", { class: "grid", d: `M${LEFT} ${at}H${width - RIGHT}` }));
      parts.push(label(LEFT - 8, at + 4, text, "end"));
    }
    const names = this.#data.names;
    const every = names ? Math.ceil(names.length / Math.max(1, Math.floor(width / 46))) : 1;
    const marks = names ? this.#data.x.map((v, at) => [v, names[at]]).filter((_, at) => at % every === 0)
      : ticks(first, last, Math.max(2, Math.floor(width / 90))).filter(Number.isInteger).map((v) => [v, String(v)]);
    for (const [value, text] of marks) {
      parts.push(make("path", { class: "tick", d: `M${px(value)} ${floor}v5` }));
      parts.push(label(px(value), floor + 19, text));
    }
    parts.push(make("path", { class: "axis", d: `M${LEFT} ${floor}H${width - RIGHT}` }));
    parts.push(label((LEFT + width - RIGHT) / 2, height - 6, xName));
    const middle = (TOP + floor) / 2;
    parts.push(make("text", { class: "middle", transform: `translate(12 ${middle}) rotate(-90)` }, yName));
    return parts;
  }

  #point(event) {
    const { x } = this.#data;
    if (!x.length) return;
    const at = event.clientX - this.#holder.getBoundingClientRect().left;
    const away = x.map((v) => Math.abs(this.#holder.scales.px(v) - at));
    this.#walk(away.indexOf(Math.min(...away)));
  }

  #key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const last = this.#data.x.length - 1;
    if (!step || last < 0) return;
    event.preventDefault();
    const from = this.#cursor ?? (step > 0 ? -1 : last + 1);
    this.#walk(Math.min(last, Math.max(0, from + step)));
  }

  #walk(at) {
    if (at === this.#cursor) return;
    this.#cursor = at;
    const { x, names, series } = this.#data;
    this.#readout.textContent = at === null ? "" : [
      names ? names[at] : `${this.#options.x} ${x[at]}`,
      ...series.map((each) => `${each.name} ${short(each.values[at])}`),
    ].join(" · ");
    this.#draw();
  }

  #button() {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button";
    button.textContent = "CSV";
    button.setAttribute("aria-label", `Save the data of “${this.#options.label}” as CSV`);
    button.addEventListener("click", () => {
      const { x, names, series } = this.#data;
      const rows = [[this.#options.x, ...series.map((each) => each.name)],
        ...x.map((v, at) => [names ? names[at] : v, ...series.map((each) => each.values[at] ?? "")])];
      save(`${this.#figure.id}.csv`, rows.map((row) => row.join(",")).join("\n"));
    });
    return button;
  }
}

function save(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([`${text}\n`], { type: "text/csv" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function extent(values) {
  return values.reduce(([low, high], v) => [Math.min(low, v), Math.max(high, v)], [Infinity, -Infinity]);
}

function thinned(count) {
  const step = Math.max(1, Math.ceil(count / MOST_POINTS));
  return [...Array(count).keys()].filter((at) => at % step === 0 || at === count - 1);
}

function path(places) {
  return places.length ? `M${places.map(([a, b]) => `${a.toFixed(1)} ${b.toFixed(1)}`).join("L")}` : "";
}

// Powers of ten, or 1, 2 and 5 of them where there are few.
function decades(low, high) {
  const found = [];
  const few = high - low < 2.2;
  const step = Math.max(1, Math.ceil((high - low) / 6));
  for (let at = Math.floor(low); at <= Math.ceil(high); at += few ? 1 : step) {
    for (const m of few ? [1, 2, 5] : [1]) {
      const place = at + Math.log10(m);
      if (place >= low && place <= high) found.push([m * 10 ** at, few ? tick(m * 10 ** at) : power(at)]);
    }
  }
  return found;
}

function label(x, y, text, anchor = "middle") {
  return make("text", { class: anchor, x, y }, text);
}

function dot({ css, dots }, x, y) {
  const shape = {
    cross: `M${x - 5} ${y - 5}l10 10m0 -10l-10 10`,
    square: `M${x - 5} ${y - 5}h10v10h-10z`,
  }[dots] ?? `M${x - 4.5} ${y}a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0`;
  return make("path", { class: `dot ${css}`, d: shape });
}

function key(each) {
  const mark = each.dots ? dot(each, 13, 7)
    : make("path", { class: `line ${each.css}`, "stroke-dasharray": each.dash, d: "M0 7H26" });
  return make("svg", { width: 26, height: 14, "aria-hidden": "true" }, mark);
}
