// Charts: plotly stands in the page compressed; it is unpacked when all else can be read, and runs
// when the first chart is looked at.

const dark = matchMedia("(prefers-color-scheme: dark)");

// Figures name their colours, as @forward; the page's palette has the values.
function coloured(value) {
  if (typeof value === "string" && value.startsWith("@")) {
    return getComputedStyle(root).getPropertyValue(`--${value.slice(1)}`).trim();
  }
  if (Array.isArray(value)) return value.map(coloured);
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, coloured(each)]));
  }
  return value;
}

const figureOf = (plot) => FIGURES[plot.id.slice("plot-".length)];
const plots = [...document.querySelectorAll(".plot")];
const drawn = new Set();
let plotly = null; // its text, until the first chart is drawn

function draw(plot) {
  if (!window.Plotly) {
    if (!plotly) return;
    const script = document.createElement("script");
    script.textContent = plotly;
    document.head.append(script);
    plotly = null;
  }
  const { data, layout } = coloured(figureOf(plot));
  Plotly.react(plot, data, layout, { displayModeBar: false, responsive: true });
  drawn.add(plot);
}

async function unpacked(element) {
  const text = atob(element.textContent), packed = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) packed[at] = text.charCodeAt(at);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

// A chart is drawn when it comes near the window; its place has its height from the start.
async function charts() {
  plotly = await unpacked(document.getElementById("plotly"));
  if (window.IntersectionObserver) {
    const near = new IntersectionObserver((entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting) continue;
        near.unobserve(target);
        if (!drawn.has(target)) draw(target);
      }
    }, { rootMargin: "50% 0px" });
    plots.forEach((plot) => near.observe(plot));
  } else {
    plots.forEach(draw);
  }
  root.dataset.charts = "ready";
}

if (window.DecompressionStream) {
  const soon = window.requestIdleCallback ?? setTimeout;
  addEventListener("load", () => soon(charts));
} else {
  for (const each of plots) {
    each.textContent = "This browser is too old for the chart; its data are behind the CSV button.";
  }
}
for (const each of document.querySelectorAll("details")) {
  each.addEventListener("toggle", () => { // the window may have changed while it was folded
    for (const plot of each.open ? each.querySelectorAll(".plot") : []) {
      if (drawn.has(plot)) Plotly.Plots.resize(plot);
    }
  });
}
const again = () => drawn.forEach(draw);
dark.addEventListener("change", again);
addEventListener("beforeprint", () => plots.forEach(draw));
addEventListener("afterprint", again);
