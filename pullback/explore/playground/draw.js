// The drawing: columns of units with a map of what each says over the plane, weights between them
// as thick as they are large, and δ coming back below.

const SMALL = 24; // cells across a unit's own map
const TALL = 8, LONG = 6; // more units of a layer, or hidden layers, are not all drawn
const CELL = 34, GAP = 44, ACROSS = 104, LEFT = 56, TOP = 40;
const SVG = "http://www.w3.org/2000/svg";
const SUBSCRIPT = "₀₁₂₃₄₅₆₇₈₉";
const sub = (n) => [...String(n)].map((c) => SUBSCRIPT[c]).join("");
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function draws(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function short(value) {
  if (!Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e3 && size < 1e5) return `${value < 0 ? "−" : ""}${Math.round(size).toLocaleString("en")}`;
  if (size >= 1e-3 && size < 1e3) return `${value < 0 ? "−" : ""}${size.toPrecision(3)}`;
  const [mantissa, exponent] = size.toExponential(1).split("e");
  return `${value < 0 ? "−" : ""}${mantissa}×10${[...exponent.replace("+", "")].map((c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] ?? "⁻").join("")}`;
}

function rgb(name) {
  const hex = colour(name).slice(1);
  const whole = hex.length === 3 ? [...hex].map((c) => c + c).join("") : hex;
  return [0, 2, 4].map((at) => parseInt(whole.slice(at, at + 2), 16));
}

// The points of the plane, row by row from the upper left corner.
const lattice = (side) => Array.from({ length: side * side }, (_, at) => [
  HALF * (2 * (at % side + 0.5) / side - 1), HALF * (1 - 2 * (Math.floor(at / side) + 0.5) / side),
]);

// Which of many are drawn: the first and the last ones, and null for all between them.
function some(count, most, ends) {
  const all = [...Array(count).keys()];
  return count <= most ? all : [...all.slice(0, most - ends - 1), null, ...all.slice(count - ends)];
}

// Signed values as a picture: positive in one colour, negative in another, the deeper the larger.
function paint(canvas, side, value, up, down) {
  const picture = new ImageData(side, side);
  const [plus, minus] = [rgb(up), rgb(down)];
  for (let at = 0; at < side * side; at += 1) {
    const v = value(at) || 0, ink = v < 0 ? minus : plus;
    picture.data.set([...ink, 235 * Math.min(1, Math.abs(v))], 4 * at);
  }
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

class Drawing {
  // changes(hidden) is called when units are added or removed; looks(layer, unit) when one is pointed at
  constructor(holder, changes, looks) {
    Object.assign(this, { holder, changes, looks });
  }

  show(hidden, features, outputs) {
    this.hidden = hidden;
    this.widths = [features.length, ...hidden, outputs];
    const last = this.widths.length - 1;
    const layers = [0, ...some(hidden.length, LONG, 2).map((k) => (k === null ? null : k + 1)), last];
    const slots = layers.map((k) => (k === null ? [null] : some(this.widths[k], TALL, 2)));
    const tallest = Math.max(...slots.map(({ length }) => length), 2);
    const width = LEFT * 2 + ACROSS * (layers.length - 1), height = TOP + GAP * tallest + 62;
    const columns = layers.map((k, at) => slots[at].map((i, row) => ({
      k, i, x: LEFT + ACROSS * at, y: TOP + GAP * (row + (tallest - slots[at].length) / 2) + CELL / 2,
    })));
    this.edges = [];
    const parts = [];
    columns.slice(1).forEach((column, at) => column.forEach(({ k, i, x: x1, y: y1 }) => columns[at].forEach(({ i: j, k: from, x: x0, y: y0 }) => {
      if (i === null || j === null || from !== k - 1) return;
      const title = draws("title");
      const path = draws("path", { d: `M${x0 + CELL / 2} ${y0}C${x0 + ACROSS / 2} ${y0} ${x1 - ACROSS / 2} ${y1} ${x1 - CELL / 2} ${y1}` }, title);
      this.edges.push({ path, title, name: `W${k}`, at: i * this.widths[k - 1] + j, told: `weight from ${j + 1} to ${i + 1}` });
      parts.push(path);
    })));
    const floor = TOP + GAP * tallest + 18;
    this.back = layers.flatMap((k, at) => {
      if (!k) return []; // the inputs have no δ, and what is left out shows none
      const [from, to] = [LEFT + ACROSS * at - CELL / 2, LEFT + ACROSS * (at - 1) + CELL / 2];
      const arrow = draws("path", { class: "error", d: `M${from} ${floor}H${to + 6}` });
      const text = draws("text", { x: (from + to) / 2, y: floor + 26 }, `δ${sub(k)}`);
      parts.push(arrow, draws("path", { class: "tip", d: `M${to} ${floor}l9 -6v12z` }), text);
      return [{ arrow, text, k }];
    });
    const picture = draws("svg", { viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" }, draws("g", { class: "edges" }, ...parts));
    this.units = [];
    const nodes = columns.flatMap((column) => column.flatMap(({ k, i, x, y }) => {
      if (i === null) {
        const left = k === null ? `${hidden.length - LONG + 1} more layers` : `${this.widths[k] - TALL + 1} more`;
        const more = make("span", { className: "more", textContent: `${k === null ? "⋯" : "⋮"} ${left}` });
        more.style.cssText = `left:${x}px;top:${y}px`;
        return [more];
      }
      const said = k === 0 ? FEATURES[features[i]].name : k === last ? `output ${i + 1}` : `unit ${i + 1} of layer ${k}`;
      const canvas = make("canvas", { width: SMALL, height: SMALL });
      const node = make("button", { type: "button", className: "unit", title: said }, canvas);
      node.setAttribute("aria-label", `${said}: show what it says over the plane`);
      node.style.cssText = `left:${x - CELL / 2}px;top:${y - CELL / 2}px`;
      for (const event of ["pointerenter", "focus"]) node.addEventListener(event, () => this.looks([k, i]));
      for (const event of ["pointerleave", "blur"]) node.addEventListener(event, () => this.looks(null));
      this.units.push({ node, canvas, k, i });
      if (k) return [node];
      const label = make("span", { className: "given", textContent: said });
      label.style.cssText = `left:${x - CELL / 2 - 4}px;top:${y - 11}px`;
      return [node, label];
    }));
    const heads = layers.map((k, at) => {
      const head = make("div", { className: "column" });
      head.style.left = `${LEFT + ACROSS * at}px`;
      if (k === 0 || k === last) head.append(k ? "output" : "inputs");
      else if (k !== null) {
        const change = (by, sign, words) => {
          const units = this.widths[k] + by, wider = hidden.with(k - 1, units);
          const button = make("button", { type: "button", textContent: sign, disabled: !fits(wider, features.length, outputs) });
          button.setAttribute("aria-label", `${words} layer ${k}`);
          button.addEventListener("click", () => this.changes(wider, [k, by]));
          return button;
        };
        head.append(change(-1, "−", "Remove a unit from"), ` ${this.widths[k]} `, change(1, "+", "Add a unit to"));
      }
      return head;
    });
    const stage = make("div", { className: "board" }, picture, ...heads, ...nodes);
    stage.style.width = `${width}px`;
    stage.style.height = `${height}px`;
    this.stage = stage;
    this.holder.replaceChildren(stage);
    this.fit();
  }

  // As large as there is room, but no smaller than can be read: then it scrolls.
  fit() {
    if (!this.stage) return;
    const share = this.holder.clientWidth / parseFloat(this.stage.style.width);
    this.stage.style.zoom = Math.max(0.66, Math.min(1, share)).toFixed(3);
    this.holder.classList.toggle("wide", share < 0.66);
  }

  // The weights, the maps and δ of a learner; maps has every value over the plane.
  update(learner, maps) {
    for (const { path, title, name, at, told } of this.edges) {
      const w = learner.params[name][at];
      path.setAttribute("stroke-width", Math.min(9, 0.4 + 2.6 * Math.abs(w)).toFixed(2));
      path.setAttribute("class", w < 0 ? "negative" : "positive");
      title.textContent = `${told}: ${short(w)}`;
    }
    for (const { arrow, text, k } of this.back) {
      const size = learner.delta[k - 1], power = size > 0 ? Math.log10(size) : -9;
      arrow.setAttribute("stroke-width", Math.max(0.6, Math.min(13, 9 + 3 * power)).toFixed(1));
      arrow.classList.toggle("gone", !(size > 1e-7));
      text.textContent = `‖δ${sub(k)}‖ ${short(size)}`;
    }
    const last = this.widths.length - 1;
    for (const { node, canvas, k, i } of this.units) {
      const units = this.widths[k], values = maps.of(k), { side } = maps, stride = side / SMALL;
      let top = 1e-12;
      for (let at = i; at < values.length; at += units) top = Math.max(top, Math.abs(values[at]));
      paint(canvas, SMALL, (at) => values[(Math.floor(at / SMALL) * stride * side + (at % SMALL) * stride) * units + i] / top, k ? "forward" : "data", "negative");
      node.classList.toggle("dead", k > 0 && k < last && learner.dead[k - 1][i]);
    }
  }
}

// The plane: the ground takes the colour of what the network says, the deeper the surer it is.
class Plane {
  constructor(canvas, caption) {
    Object.assign(this, { canvas, caption });
    this.ground = make("canvas");
  }

  show(learner, maps, look, data, tests) {
    const { canvas, ground } = this, size = canvas.width, brush = canvas.getContext("2d");
    const depth = learner.depth, out = learner.widths.at(-1);
    const scores = maps.of("output"), { side } = maps;
    ground.width = ground.height = side;
    if (look) {
      const [k, i] = look, units = learner.widths[k], values = maps.of(k);
      let top = 1e-12;
      for (let at = i; at < values.length; at += units) top = Math.max(top, Math.abs(values[at]));
      paint(ground, side, (at) => values[at * units + i] / top, k ? "forward" : "data", "negative");
    } else if (!data.classes) {
      paint(ground, side, (at) => 0.8 * scores[at], "class-0", "class-1");
    } else {
      const inks = data.names.map((_, k) => rgb(`class-${k}`)), picture = new ImageData(side, side);
      const values = learner.settings.ending === "squares";
      for (let at = 0; at < side * side; at += 1) {
        const row = [...scores.subarray(at * out, (at + 1) * out)], said = row.indexOf(Math.max(...row));
        if (said < 0) continue; // not a number any more
        const sure = values ? Math.min(1, Math.max(0, row[said])) : sureness(row)[said];
        picture.data.set([...inks[said], 30 + 170 * Math.max(0, (sure - 1 / out) / (1 - 1 / out))], 4 * at);
      }
      ground.getContext("2d").putImageData(picture, 0, 0);
    }
    brush.clearRect(0, 0, size, size);
    brush.imageSmoothingEnabled = true;
    brush.drawImage(ground, 0, 0, size, size);
    const shown = [...data.parts.train.map((p) => [p, false]), ...(tests ? data.parts.test.map((p) => [p, true]) : [])];
    for (const [{ x: [u, v], y }, isTest] of shown) this.#point(brush, size * (0.5 + u / (2 * HALF)), size * (0.5 - v / (2 * HALF)), y, isTest, data);
    this.caption.textContent = look
      ? `What ${look[0] ? (look[0] === depth ? "an output" : `unit ${look[1] + 1} of layer ${look[0]}`) : "an input"} says over the plane: blue positive, purple negative.`
      : data.classes
        ? `${data.names.map((name, k) => `${"●▲■"[k]} ${name}`).join("  ")}${tests ? "; ringed: test samples" : ""}. The ground is what the network says, the deeper the surer.`
        : `● high, ▲ low${tests ? "; ringed: test samples" : ""}. The ground is what the network says, the deeper the further from 0.`;
  }

  #point(brush, x, y, kind, ringed, data) {
    const k = data.classes ? kind : kind < 0 ? 1 : 0, r = 5;
    brush.globalAlpha = data.classes ? 1 : 0.35 + 0.65 * Math.min(1, Math.abs(kind));
    brush.fillStyle = colour(`class-${k}`);
    brush.strokeStyle = colour(ringed ? "ink" : "paper");
    brush.lineWidth = ringed ? 2 : 1.2;
    brush.beginPath();
    if (k === 0) brush.arc(x, y, r, 0, 2 * Math.PI);
    else if (k === 1) { brush.moveTo(x, y - r - 1); brush.lineTo(x + r + 1, y + r - 1); brush.lineTo(x - r - 1, y + r - 1); brush.closePath(); } else brush.rect(x - r + 0.5, y - r + 0.5, 2 * r - 1, 2 * r - 1);
    brush.fill();
    brush.stroke();
    brush.globalAlpha = 1;
  }
}

// Two lines of a loss on a log scale, each called at its end.
function lossChart(holder, history, told) {
  const width = Math.max(holder.clientWidth, 160), height = 130, left = 64, right = 64, top = 8, bottom = 22;
  const series = [["training", "ink", 1, ""], ["test", "data-ink", 2, "5 3"]].map(([name, css, at, dash]) => ({
    name, css, dash, points: history.filter((row) => row[at] > 0 && Number.isFinite(row[at])).map((row) => [row[0], Math.log10(row[at])]),
  })).filter(({ points }) => points.length);
  const all = series.flatMap(({ points }) => points.map(([, v]) => v));
  if (!all.length) { holder.replaceChildren(); return; }
  const low = Math.min(...all), high = Math.max(...all, low + 0.3), last = Math.max(history.at(-1)[0], 1);
  const px = (e) => left + e / last * (width - left - right), py = (v) => height - bottom - (v - low) / (high - low) * (height - top - bottom);
  const thin = (points) => points.filter((_, at) => at % Math.ceil(points.length / 200) === 0 || at === points.length - 1);
  const ends = series.map(({ points }) => Math.min(py(points.at(-1)[1]), height - bottom - 14));
  if (ends.length > 1 && Math.abs(ends[0] - ends[1]) < 14) {
    const middle = (ends[0] + ends[1]) / 2, sign = ends[0] <= ends[1] ? 1 : -1;
    [ends[0], ends[1]] = [middle - 7 * sign, middle + 7 * sign];
  }
  holder.replaceChildren(draws("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": told },
    draws("path", { class: "axis", d: `M${left} ${top}V${height - bottom}H${width - right}` }),
    draws("text", { x: left - 6, y: py(high) + 9, class: "end" }, short(10 ** high)),
    draws("text", { x: left - 6, y: py(low), class: "end" }, short(10 ** low)),
    draws("text", { x: left, y: height - 5 }, "epoch 0"),
    draws("text", { x: width - right, y: height - 5, class: "end" }, String(last)),
    ...series.flatMap(({ name, css, dash, points }, k) => [
      draws("path", { d: `M${thin(points).map(([e, v]) => `${px(e).toFixed(1)} ${py(v).toFixed(1)}`).join("L")}`, class: "line", style: `stroke: var(--${css})`, "stroke-dasharray": dash }),
      draws("text", { x: px(points.at(-1)[0]) + 6, y: ends[k] + 4, style: `fill: var(--${css})` }, name),
    ])));
}
