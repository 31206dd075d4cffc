// Charts: plotly stands in the page compressed, and is unpacked when all else can be read.

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

function drawOne(name, figure) {
  const { data, layout } = coloured(figure);
  return Plotly.react(`plot-${name}`, data, layout, { displayModeBar: false, responsive: true });
}

function drawAll() {
  if (window.Plotly) Object.entries(FIGURES).forEach(([name, figure]) => drawOne(name, figure));
}

async function unpack(element) {
  const packed = Uint8Array.from(atob(element.textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);
}

// One chart a turn, so that the page answers in between.
async function charts() {
  await unpack(document.getElementById("plotly"));
  for (const [name, figure] of Object.entries(FIGURES)) {
    await new Promise((done) => { setTimeout(done); });
    await drawOne(name, figure);
  }
  root.dataset.charts = "drawn";
}

if (window.DecompressionStream) {
  addEventListener("load", () => setTimeout(charts));
} else {
  for (const each of document.querySelectorAll(".plot")) {
    each.textContent = "This browser is too old for the chart; its data are behind the CSV button.";
  }
}
for (const each of document.querySelectorAll("details")) {
  each.addEventListener("toggle", () => { // what was folded had no width
    for (const plot of each.open && window.Plotly ? each.querySelectorAll(".plot") : []) Plotly.Plots.resize(plot);
  });
}
dark.addEventListener("change", drawAll);
addEventListener("beforeprint", drawAll);
addEventListener("afterprint", drawAll);
