// The data, and what the network says of them: a plane with regions, or handwritten digits.

import { make } from "./svg.js";

const SIDE = 320, MARGIN = 4;
const SHAPES = [
  (x, y) => `M${x - 3.2} ${y}a3.2 3.2 0 1 0 6.4 0a3.2 3.2 0 1 0 -6.4 0`,
  (x, y) => `M${x} ${y - 4}l3.8 6.8h-7.6z`,
  (x, y) => `M${x - 3} ${y - 3}h6v6h-6z`,
];
const SIGNS = ["●", "▲", "■"];

export class Picture {
  #holder; #caption; #data = null; #half = 2.4;

  constructor(holder, caption) {
    this.#holder = holder;
    this.#caption = caption;
  }

  show(data) {
    this.#data = data;
    if (data.points) this.#plane();
    else if (data.images) this.#digits();
    else {
      this.#holder.replaceChildren();
      this.#caption.textContent = data.told;
    }
  }

  // news: map, side and half of a plane, or said of digits
  learn(news) {
    if (news.map && this.#data?.points) this.#regions(news);
    if (news.said && this.#data?.images) this.#label(news.said);
  }

  #plane() {
    const { points, classes, names } = this.#data;
    const place = (v, sign) => MARGIN + (SIDE - 2 * MARGIN) * (0.5 + sign * v / (2 * this.#half));
    const paths = names.map((_, k) => make("path", {
      class: `class-${k}`,
      d: points.filter((_, at) => classes[at] === k)
        .map(([x, y]) => SHAPES[k % 3](place(x, 1), place(y, -1))).join(""),
    }));
    const list = names.map((name, k) => `${classes.filter((each) => each === k).length} of class ${name}`);
    const svg = make("svg", {
      class: "plane", viewBox: `0 0 ${SIDE} ${SIDE}`, role: "img",
      "aria-label": `A plane with the training samples: ${list.join(", ")}.`,
    }, make("g", { class: "regions" }), ...paths);
    this.#holder.replaceChildren(svg);
    const legend = names.map((name, k) => `${SIGNS[k]} class ${name}`).join(", ");
    this.#caption.textContent = `The samples to learn from (${legend}). In training, the ground takes the colour of the class that the network would say there.`;
  }

  #regions({ map, side }) {
    const cell = (SIDE - 2 * MARGIN) / side;
    const strokes = this.#data.names.map(() => []);
    for (let row = 0; row < side; row += 1) {
      for (let start = 0; start < side;) {
        const k = map[row * side + start];
        let end = start + 1;
        while (end < side && map[row * side + end] === k) end += 1;
        const [x, y] = [MARGIN + start * cell, MARGIN + row * cell];
        strokes[Number(k)].push(`M${x.toFixed(1)} ${y.toFixed(1)}h${((end - start) * cell).toFixed(1)}v${(cell + .3).toFixed(1)}h${((start - end) * cell).toFixed(1)}z`);
        start = end;
      }
    }
    this.#holder.querySelector(".regions").replaceChildren(
      ...strokes.map((d, k) => make("path", { class: `class-${k}`, d: d.join("") })));
  }

  #digits() {
    const { images, classes } = this.#data;
    const list = document.createElement("ul");
    list.className = "digits";
    list.append(...images.map((image, at) => {
      const item = document.createElement("li");
      item.innerHTML = `${image}<span>${classes[at]}</span>`;
      return item;
    }));
    this.#holder.replaceChildren(list);
    this.#caption.textContent = "Unseen digits, with what they are; in training, with what the network says (✓ right, ✗ wrong).";
  }

  #label(said) {
    this.#holder.querySelectorAll("li span").forEach((each, at) => {
      const right = said[at] === this.#data.classes[at];
      each.textContent = `${right ? "✓" : "✗"} ${this.#data.names[said[at]]}`;
      each.className = right ? "right" : "wrong";
    });
  }
}
