// Elements of an SVG, and a canvas to draw on that knows its width.

const NAMESPACE = "http://www.w3.org/2000/svg";

export function make(tag, attributes = {}, ...children) {
  const element = document.createElementNS(NAMESPACE, tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((each) => each !== null));
  return element;
}

// Draws again whenever the holder has another width.
export function onWidth(holder, draw) {
  let width = 0;
  new ResizeObserver(([entry]) => {
    const now = Math.round(entry.contentRect.width);
    if (now === width || now === 0) return;
    width = now;
    draw();
  }).observe(holder);
}

const SUPERSCRIPT = Object.fromEntries([..."-0123456789"].map((c, at) => [c, "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"[at]]));

export function power(exponent) {
  return `10${[...String(exponent)].map((c) => SUPERSCRIPT[c]).join("")}`;
}

// Three significant digits, as everywhere.
export function short(value) {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e-4 && size < 1e6) {
    const digits = Math.max(0, 2 - Math.floor(Math.log10(size)));
    const text = size >= 1000 ? Number(size.toPrecision(3)).toLocaleString("en") : size.toFixed(digits);
    return value < 0 ? `−${text}` : text;
  }
  const [mantissa, exponent] = value.toExponential(2).replace("-", "−").split("e");
  return `${mantissa}×${power(Number(exponent.replace("−", "-")))}`;
}

// The same without zeros that say nothing, for ticks.
export function tick(value) {
  const text = short(value);
  return text.includes(".") && !text.includes("×") ? text.replace(/0+$/, "").replace(/\.$/, "") : text;
}

export function percent(share) {
  return share === null || share === undefined ? "–" : `${(100 * share).toFixed(1)} %`;
}

// Round places for ticks between two ends: at most about so many.
export function ticks(low, high, most) {
  const raw = (high - low) / most || 1;
  const base = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * base).find((each) => each >= raw);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high + 1e-9 * step; at += 1) {
    found.push(Number((at * step).toPrecision(12)));
  }
  return found;
}
