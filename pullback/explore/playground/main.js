// The page: what is picked makes a network, which lives while it trains.

const element = (id) => document.getElementById(id);
const BUDGET = 12; // milliseconds of a frame that training may take
const SIDES = [[10_000, 48], [Infinity, 24]]; // cells across the plane, up to so many weights
const PACES = { slow: 4, watch: 30, full: 1e6 }; // epochs a second
const START = {
  data: "moons", noise: 0.2, count: 240, share: 0.75, seed: 1, features: ["x1", "x2"], hidden: [4, 3],
  activation: "tanh", init: "glorot", ending: "cross_entropy", rate: 0.03, momentum: 0.9, batch: 16,
  penalty: "none", amount: 0.001, pace: "watch", story: "start",
};
let state = { ...START }, data = null, table = null, learner = null, going = false, look = null, maps = null;
let version = 0, before = 0, owed = 0, cost = 0, rested = 0; // what the last picture took, and when

const drawing = new Drawing(element("drawing"), (hidden, [k, by]) => {
  change({ hidden, story: "own" });
  focusOn(`${by < 0 ? "Remove a unit from" : "Add a unit to"} layer ${k}`);
}, (unit) => { look = unit; if (learner) showPlane(); });
const plane = new Plane(element("plane"), element("plane-caption"));

// The state as an address, and back; what is not known there is left out.
function written() {
  const parts = Object.entries(state).filter(([name, value]) => String(value) !== String(START[name]) && !(name === "data" && value === "own"));
  return parts.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&");
}

function read(text) {
  const found = {};
  for (const [name, value] of new URLSearchParams(text)) {
    const known = START[name];
    if (name === "hidden") {
      const widths = value.split(",").filter(Boolean).map(Number);
      if (widths.every(Number.isInteger) && fits(widths, Object.keys(FEATURES).length, 3)) found.hidden = widths;
    } else if (name === "features") {
      const given = value.split(",").filter((each) => each in FEATURES);
      if (given.length) found.features = given;
    } else if (typeof known === "number") {
      if (value !== "" && Number.isFinite(Number(value)) && Number(value) >= 0) found[name] = Number(value);
    } else if (known !== undefined) {
      const field = element(name);
      if (name === "data" ? value in SETS : name === "story" ? value in STORIES : field && [...field.options].some((each) => each.value === value)) found[name] = value;
    }
  }
  if (Object.keys(found).length) found.story ??= "own";
  found.count &&= Math.min(Math.max(Math.round(found.count), 20), 1000);
  found.share &&= Math.min(Math.max(found.share, 0.1), 0.9);
  found.noise &&= Math.min(found.noise, 1);
  found.rate &&= Math.min(found.rate, 10);
  found.momentum &&= Math.min(found.momentum, 0.99);
  if (found.batch !== undefined) found.batch = Math.max(1, Math.round(found.batch));
  return found;
}

function collapse(widths, times = "×", between = "–") {
  const runs = [];
  for (const n of widths) if (runs.length && runs.at(-1)[0] === n) runs.at(-1)[1] += 1; else runs.push([n, 1]);
  return runs.map(([n, many]) => (many > 2 ? `${n}${times}${many}` : Array(many).fill(n).join(between))).join(between);
}

function dataOf() {
  const found = state.data === "own" && table ? table : drawn(state.data in SETS ? state.data : START.data, state.count, state.noise, state.seed);
  const train = Math.max(1, Math.round(state.share * found.points.length));
  return { ...found, parts: { train: found.points.slice(0, train), test: found.points.slice(train) } };
}

function matrices(points, outputs) {
  const y = new Float64Array(points.length * outputs);
  points.forEach((point, at) => { if (data.classes) y[at * outputs + point.y] = 1; else y[at] = point.y; });
  return { x: inputs(points.map(({ x }) => x), state.features), y, count: points.length };
}

// Everything anew, from the state.
async function rebuild(train = false) {
  const mine = ++version;
  stop();
  data = dataOf();
  if (!data.classes) state.ending = "squares";
  else if (state.ending === "squares" && START.ending !== "squares" && !state.squares) state.ending = START.ending;
  const outputs = data.classes || 1, widths = [state.features.length, ...state.hidden, outputs];
  fill();
  drawing.show(state.hidden, state.features, outputs);
  element("title").textContent = `A ${collapse(widths)} network`;
  history.replaceState(null, "", `#${written()}`);
  document.body.dataset.state = "deriving";
  document.body.classList.add("filled");
  tell("Deriving the backward pass …");
  let program;
  try {
    program = await programOf(state.hidden.length, state.activation, data.classes ? state.ending : "squares");
  } catch (fault) {
    if (mine === version) { document.body.dataset.state = "fault"; tell(`${fault.message}`, true); }
    return;
  }
  if (weights(state.hidden, state.features.length, outputs) > SIDES[0][0]) {
    tell("Compiling: large networks take some seconds …");
    await new Promise((done) => { setTimeout(done, 50); }); // so that it is seen
  }
  if (mine !== version) return;
  learner = new Learner(program, widths, state, { classes: data.classes, train: matrices(data.parts.train, outputs), test: matrices(data.parts.test, outputs) });
  document.body.dataset.state = "ready";
  show();
  if (train) begin();
}

function change(choices, train = false) {
  state = { ...state, ...choices };
  return rebuild(train);
}

// What the network says over the plane, layer by layer; worked out when first asked for.
function survey() {
  let found = null;
  const count = weights(state.hidden, state.features.length, data.classes || 1);
  const [, side] = SIDES.find(([most]) => count <= most);
  const given = inputs(lattice(side), state.features);
  maps = { side, of: (k) => {
    if (k === 0) return given;
    found ??= learner.program.forward(learner.params, given);
    return k === "output" ? found.output : found[k === learner.depth ? `z${k}` : `a${k}`];
  } };
}

function show() {
  const began = performance.now();
  survey();
  drawing.update(learner, maps);
  showPlane();
  const { loss, unseen } = learner;
  lossChart(element("loss"), learner.history, `Loss: training ${short(loss)}, test ${short(unseen)}`);
  element("epoch").textContent = String(learner.epoch);
  element("numbers").textContent = `loss ${short(loss)}, test ${short(unseen)}${data.classes && learner.unseenRight !== null ? `; ${(100 * learner.unseenRight).toFixed(0)} % of test samples right` : ""}`;
  tell(verdict());
  rested = performance.now();
  cost = rested - began;
}

function showPlane() {
  plane.show(learner, maps, look, data, element("tests").checked);
}

// One sentence about what is going on.
function verdict() {
  if (!learner.finite) return `Training diverged in epoch ${learner.epoch}: the numbers are no longer finite. Take a smaller learning rate, such as ${short(state.rate / 10)}, or a smaller start; then Reset.`;
  const units = learner.dead.flat().length, dead = learner.dead.flat().filter(Boolean).length;
  if (units && dead >= Math.max(2, 0.3 * units)) return `${dead} of ${units} hidden units are dead: their δ is 0 at every sample, so their weights no longer move. Take a smaller learning rate, or leaky ReLU.`;
  const first = learner.delta[0], last = learner.delta.at(-1), steps = learner.delta.length - 1;
  if (steps > 1 && last > 1e-9) {
    const each = (first / last) ** (1 / steps);
    if (first / last < 1e-2) return `Vanishing: δ shrinks ${short(1 / each)}× a layer, and the first layer gets ${short(first / last)} of what the output has. Try ${state.activation === "tanh" ? "fewer layers, or" : "tanh, or"} ReLU with He's start.`;
    if (first / last > 1e2) return `Exploding: δ grows ${short(each)}× a layer on its way back. Try He's start or a smaller one.`;
  }
  const start = learner.history[0][1];
  if (learner.epoch > 4 && learner.loss > 1.5 * start) return "The loss is above where it began: the learning rate is too large.";
  if (!learner.epoch) return "Nothing is learnt yet. Press Train, or Step for one epoch.";
  if (data.classes) return `${(100 * learner.right).toFixed(0)} % of the training samples are right, and δ reaches every layer.`;
  return `The error is ${short(Math.sqrt(2 * learner.loss))} on a typical sample, and δ reaches every layer.`;
}

function tell(text, fault = false) {
  if (element("verdict").textContent !== text) element("verdict").textContent = text;
  element("verdict").classList.toggle("fault", fault);
}

function begin() {
  if (!learner || !learner.finite) return;
  going = true;
  before = performance.now();
  owed = 1;
  document.body.dataset.state = "training";
  element("train").textContent = "Pause";
  requestAnimationFrame(frame);
}

function stop() {
  going = false;
  element("train").textContent = "Train";
  if (document.body.dataset.state === "training") document.body.dataset.state = "ready";
}

function frame(now) {
  if (!going) return;
  owed = Math.min(owed + Math.max(0, now - before) / 1000 * PACES[state.pace], PACES[state.pace]);
  before = now;
  const until = performance.now() + BUDGET;
  while (owed >= 1 && going && performance.now() < until) {
    learner.learn();
    owed -= 1;
    if (!learner.finite) stop();
  }
  // a picture of a large network takes its time: no more than half of all
  if (learner.epoch !== learner.shown && (!going || performance.now() - rested >= cost)) { show(); learner.shown = learner.epoch; }
  if (going) requestAnimationFrame(frame);
}

// The form: each field writes into the state, and the state fills each field.
const FIELDS = {
  data: (v) => ({ data: v, squares: false }), activation: (v) => ({ activation: v }), init: (v) => ({ init: v }),
  ending: (v) => ({ ending: v, squares: v === "squares" }), penalty: (v) => ({ penalty: v }), pace: (v) => ({ pace: v }),
  noise: (v) => ({ noise: v / 100 }), count: (v) => ({ count: Number(v) }), share: (v) => ({ share: v / 100 }),
  batch: (v) => ({ batch: Number(v) }), momentum: (v) => ({ momentum: Number(v) }), seed: (v) => ({ seed: Number(v) }),
  rate: (v) => ({ rate: Number((10 ** v).toPrecision(2)) }), amount: (v) => ({ amount: Number((10 ** v).toPrecision(1)) }),
};
const LIVE = new Set(["rate", "momentum", "penalty", "amount", "batch", "pace"]); // need no new network

function fill() {
  const shown = { ...state, noise: 100 * state.noise, share: 100 * state.share, rate: Math.log10(state.rate), amount: Math.log10(state.amount) };
  for (const name of Object.keys(FIELDS)) if (document.activeElement !== element(name)) element(name).value = shown[name];
  element("ending").querySelectorAll("option").forEach((each) => { each.disabled = !data.classes && each.value !== "squares"; });
  element("rate-value").textContent = short(state.rate);
  element("amount-value").textContent = short(state.amount);
  element("noise-value").textContent = `${Math.round(100 * state.noise)} %`;
  element("count-value").textContent = state.data === "own" && table ? `${table.points.length}` : String(state.count);
  element("share-value").textContent = `${Math.round(100 * state.share)} %`;
  element("amount-field").hidden = state.penalty === "none";
  for (const name of ["noise", "count"]) element(name).disabled = state.data === "own";
  for (const box of element("features").querySelectorAll("input")) box.checked = state.features.includes(box.value);
  if (document.activeElement !== element("hidden")) element("hidden").value = collapse(state.hidden, "x", ", ");
  element("layers").textContent = `${state.hidden.length} hidden layer${state.hidden.length === 1 ? "" : "s"}`;
  element("fewer").disabled = !state.hidden.length;
  element("more").disabled = !fits([...state.hidden, state.hidden.at(-1) ?? 4], state.features.length, data.classes || 1);
  for (const button of element("stories").querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.value === state.story));
  element("story").textContent = STORIES[state.story]?.told ?? "Your own network; the address of this page holds it.";
  const link = element("study");
  if (link) link.href = `study?${new URLSearchParams({ hidden: state.hidden.join(","), activation: state.activation, init: INIT_THERE[state.init] ?? "glorot", data: DATA_THERE[state.data] ?? "moons", rate: state.rate, momentum: state.momentum })}`;
}
const INIT_THERE = { glorot: "glorot", he: "he", lecun: "lecun" };
const DATA_THERE = { moons: "moons", circles: "circles", clouds: "blobs", arms: "spirals" };

function focusOn(label) {
  document.querySelector(`[aria-label="${label}"]`)?.focus();
}

for (const [name, taken] of Object.entries(FIELDS)) {
  element(name).addEventListener("input", ({ target }) => {
    const field = element(`${name}-fault`);
    if (target.type === "number" && !target.checkValidity()) {
      field.textContent = `${target.value === "" ? "Empty" : target.value}: expected ${target.step === "1" ? "a whole number" : "a number"} from ${target.min} to ${target.max}.`;
      field.hidden = false;
      return;
    }
    if (field) field.hidden = true;
    if (name === "data" && target.value === "own") { element("own-field").hidden = false; if (!table) return; }
    if (LIVE.has(name)) {
      Object.assign(state, taken(target.value));
      history.replaceState(null, "", `#${written()}`);
      fill();
    } else change({ ...taken(target.value), story: "own" });
  });
}
element("hidden").addEventListener("change", ({ target }) => {
  const fault = element("hidden-fault");
  fault.hidden = true;
  try {
    const hidden = widthsOf(target.value, state.features.length, data.classes || 1);
    if (String(hidden) !== String(state.hidden)) change({ hidden, story: "own" });
  } catch (problem) {
    fault.textContent = problem.message;
    fault.hidden = false;
  }
});
element("features").addEventListener("change", ({ target }) => {
  const features = [...element("features").querySelectorAll("input:checked")].map(({ value }) => value);
  if (!features.length) target.checked = true;
  else change({ features, story: "own" });
});
element("own").addEventListener("change", async ({ target }) => {
  const [file] = target.files, fault = element("own-fault");
  fault.hidden = true;
  if (!file) return;
  try {
    if (file.size > 2e6) throw new Error(`${file.name} has ${(file.size / 1e6).toFixed(1)} MB; expected at most 2.`);
    const found = readTable(await file.text());
    const draw = chance(1);
    found.points = found.points.map((point) => [draw.uniform(), point]).sort((a, b) => a[0] - b[0]).map(([, point]) => point).slice(0, 1000);
    table = found;
    element("own-told").textContent = found.told;
    change({ data: "own", story: "own", squares: false });
  } catch (problem) {
    fault.textContent = problem.message;
    fault.hidden = false;
  }
});
element("more").addEventListener("click", () => change({ hidden: [...state.hidden, state.hidden.at(-1) ?? 4], story: "own" }));
element("fewer").addEventListener("click", () => change({ hidden: state.hidden.slice(0, -1), story: "own" }));
element("train").addEventListener("click", () => { if (going) { stop(); show(); } else begin(); });
element("step").addEventListener("click", () => { if (!learner?.finite) return; stop(); learner.learn(); show(); });
element("reset").addEventListener("click", () => rebuild());
element("tests").addEventListener("change", () => { if (learner) showPlane(); });
for (const [name, { name: label, set }] of Object.entries(STORIES)) {
  const button = make("button", { type: "button", value: name, textContent: label });
  button.addEventListener("click", () => { table = null; change({ ...START, pace: state.pace, ...set, story: name }, name !== "start"); });
  element("stories").append(button);
}
addEventListener("hashchange", () => { state = { ...START, ...read(location.hash.slice(1)) }; rebuild(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (learner) show(); });
new ResizeObserver(() => { drawing.fit(); if (learner && !going) show(); }).observe(element("loss"));

element("settings").addEventListener("click", ({ target }) => {
  target.setAttribute("aria-expanded", String(target.getAttribute("aria-expanded") !== "true"));
});
state = { ...START, ...read(location.hash.slice(1)) };
rebuild();
