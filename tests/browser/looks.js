// What looks.py asks of a page. Evaluated as one function of an element and the name of a check.
const visible = (e) => {
  if (!e.checkVisibility({ opacityProperty: true, visibilityProperty: true })) return false;
  const box = e.getBoundingClientRect();
  return box.width > 1.5 && box.height > 1.5;
};
const nameOf = (e) => {
  const id = e.id ? `#${e.id}` : "";
  const css = e.classList.length ? `.${[...e.classList].join(".")}` : "";
  return `<${e.localName}${id}${css}> "${e.textContent.trim().slice(0, 40)}"`;
};
const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
const rgba = (colour) => {  // whatever way a colour is written, as [r, g, b, alpha]
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
  return [r, g, b, a / 255];
};
const over = (top, low) => [0, 1, 2].map((i) => top[i] * top[3] + low[i] * (1 - top[3]));
const paper = (e) => {
  const layers = [];
  for (let at = e; at; at = at.parentElement) {
    const colour = rgba(getComputedStyle(at).backgroundColor);
    if (colour[3] > 0) layers.push(colour);
    if (colour[3] === 1) break;
  }
  const dark = getComputedStyle(document.documentElement).colorScheme === "dark"
    || matchMedia("(prefers-color-scheme: dark)").matches;
  return layers.reverse().reduce((low, top) => over(top, low), dark ? [18, 18, 18] : [255, 255, 255]);
};
// What an SVG has drawn where the middle of some words stands, before it draws them.
const under = (text, ground) => {
  const at = text.getBoundingClientRect();
  const [x, y] = [at.left + at.width / 2, at.top + at.height / 2];
  const shapes = [...text.ownerSVGElement.querySelectorAll("circle, rect")].filter((e) => {
    const box = e.getBoundingClientRect();
    const before = e.compareDocumentPosition(text) & Node.DOCUMENT_POSITION_FOLLOWING;
    return before && visible(e) && box.left < x && x < box.right && box.top < y && y < box.bottom;
  });
  return shapes.map((e) => getComputedStyle(e)).filter((style) => style.fill !== "none")
    .reduce((low, style) => {
      const [r, g, b, a] = rgba(style.fill);
      return over([r, g, b, a * Number(style.opacity) * Number(style.fillOpacity)], low);
    }, ground);
};
// The palette says forward, backward and data; a letter or a word beside it says so too.
const palette = () => ["--forward", "--backward", "--data"].map(
  (name) => rgba(getComputedStyle(document.documentElement).getPropertyValue(name) || "#000").join());
const light = (c) => {
  const [r, g, b] = c.map((v) => v / 255).map((v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
  return .2126 * r + .7152 * g + .0722 * b;
};
const texts = (root) => {  // elements with words of their own
  const walk = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  const found = new Set();
  while (walk.nextNode()) {
    const parent = walk.currentNode.parentElement;
    const drawn = !parent.closest("script, style, title, .unseen, [aria-hidden=true], option");
    if (walk.currentNode.data.trim() && drawn && visible(parent)) found.add(parent);
  }
  return [...found];
};

const checks = {
  lowContrast(root) {
    return texts(root).flatMap((e) => {
      if (e.closest(":disabled, [aria-disabled=true]")) return [];
      const style = getComputedStyle(e);
      const svg = e instanceof SVGElement;
      const ink = rgba(svg ? style.fill : style.color);
      let ground = paper(e);
      if (svg) ground = under(e, ground);
      let alpha = ink[3];
      for (let at = e; at; at = at.parentElement) alpha *= Number(getComputedStyle(at).opacity);
      const seen = over([ink[0], ink[1], ink[2], alpha], ground);
      const [low, high] = [light(seen), light(ground)].sort((a, b) => a - b);
      const ratio = (high + .05) / (low + .05);
      const large = parseFloat(style.fontSize) >= 24
        || (parseFloat(style.fontSize) >= 18.6 && Number(style.fontWeight) >= 700);
      return ratio < (large || palette().includes(ink.join()) ? 3 : 4.5) ? [`${nameOf(e)} has contrast ${ratio.toFixed(2)}`] : [];
    });
  },

  overlappingText(root) {
    const boxes = [...root.querySelectorAll("text")].filter(visible)
      .map((e) => [e, e.getBoundingClientRect()]);
    const found = [];
    boxes.forEach(([a, p], at) => boxes.slice(at + 1).forEach(([b, q]) => {
      const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);
      const high = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
      // boxes have some air above and below their words
      if (wide > 1 && high > .35 * Math.min(p.height, q.height)) {
        found.push(`${nameOf(a)} is drawn over ${nameOf(b)}`);
      }
    }));
    return found;
  },

  overflow(root) {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    return [...document.querySelectorAll("body *")].filter((e) => visible(e)
      && e.getBoundingClientRect().right > width + 1
      && ![...e.querySelectorAll("*")].some((c) => c.getBoundingClientRect().right > width + 1)
    ).map((e) => `${nameOf(e)} ends at ${Math.round(e.getBoundingClientRect().right)} of ${width} px`);
  },

  unnamedControls(root) {
    return [...document.querySelectorAll("button, input, select, textarea, a[href], summary, [role=button]")]
      .filter((e) => e.checkVisibility()).filter((e) => {
        const labels = [...(e.labels ?? [])].map((l) => l.textContent.trim()).join("");
        const by = (e.getAttribute("aria-labelledby") ?? "").split(" ").filter(Boolean)
          .map((id) => document.getElementById(id)?.textContent ?? "").join("");
        const own = e.matches("input, select, textarea") ? "" : e.textContent.trim();
        return !(labels || by || own || e.getAttribute("aria-label"));
      }).map(nameOf);
  },

  doubledNames(root) {
    const seen = new Map();
    for (const e of document.querySelectorAll("[id]")) seen.set(e.id, (seen.get(e.id) ?? 0) + 1);
    return [...seen].filter(([, n]) => n > 1).map(([id, n]) => `id ${id} stands ${n} times`);
  },
};
