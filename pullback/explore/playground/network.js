// The network: its parameters, its program, and steps of gradient descent. What a program computes,
// forward and back, was derived by pullback and emitted as JavaScript; here it is only called.

const INITS = {
  glorot: { name: "Glorot", spread: (into, out) => Math.sqrt(2 / (into + out)) },
  he: { name: "He", spread: (into) => Math.sqrt(2 / into) },
  lecun: { name: "LeCun", spread: (into) => Math.sqrt(1 / into) },
  small: { name: "too small", spread: (into) => 0.2 / Math.sqrt(into) },
  large: { name: "too large", spread: (into) => 4 / Math.sqrt(into) },
};

function parametersOf(widths, init, seed) {
  const draw = chance(7919 * seed + 3), found = {};
  for (let k = 1; k < widths.length; k += 1) {
    const [into, out] = [widths[k - 1], widths[k]], spread = INITS[init].spread(into, out);
    found[`W${k}`] = Float64Array.from({ length: into * out }, () => spread * draw.normal());
    found[`b${k}`] = new Float64Array(out);
  }
  return found;
}

// Whether a network of these hidden layers can be trained in a page.
const MOST_UNITS = 128, MOST_WEIGHTS = 150_000;
function weights(hidden, into, out) {
  const widths = [into, ...hidden, out];
  return widths.slice(1).reduce((sum, n, k) => sum + n * widths[k], 0);
}
function fits(hidden, into, out) {
  return hidden.length <= MOST_LAYERS && hidden.every((n) => n >= 1 && n <= MOST_UNITS) && weights(hidden, into, out) <= MOST_WEIGHTS;
}

// Widths as they are written, 16, 8 or 64x30; throws an error that says what was expected.
function widthsOf(text, into, out) {
  const found = text.split(",").filter((part, _, all) => part.trim() || all.length > 1).flatMap((part) => {
    const [, width, times] = /^\s*(\d{1,4})\s*(?:[x×]\s*(\d{1,3}))?\s*$/.exec(part) ?? [];
    if (!width) throw new Error(`“${part.trim()}”: expected widths such as 16, 8 or 64x30.`);
    if (times !== undefined && Number(times) < 1) throw new Error(`“${part.trim()}”: expected 1 layer or more, as in 64x30.`);
    if (width < 1 || width > MOST_UNITS) throw new Error(`${width} units: expected 1 to ${MOST_UNITS} in a layer.`);
    return Array(Number(times ?? 1)).fill(Number(width));
  });
  if (found.length > MOST_LAYERS) throw new Error(`${found.length} hidden layers: expected at most ${MOST_LAYERS} in this page.`);
  const count = weights(found, into, out);
  if (count > MOST_WEIGHTS) throw new Error(`${count.toLocaleString("en")} weights: expected at most ${MOST_WEIGHTS.toLocaleString("en")} in a page; pb.fit trains more.`);
  return found;
}

// The module of a network with so many hidden layers: from the page itself, or from its server.
const modules = new Map();
async function programOf(hidden, activation, ending) {
  const key = `${hidden}-${activation}-${ending}`;
  if (!modules.has(key)) modules.set(key, load(key, { hidden, activation, ending }));
  try {
    return await modules.get(key);
  } catch (fault) {
    modules.delete(key);
    throw fault;
  }
}

async function load(key, setup) {
  const source = PACKED ? (await unpacked())[key] : (await asked({ view: "program", setup })).source;
  const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  try {
    return await import(address);
  } finally {
    URL.revokeObjectURL(address);
  }
}

let opened = null;
function unpacked() {
  opened ??= (async () => {
    const bytes = Uint8Array.from(atob(document.getElementById("programs").textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  })();
  return opened;
}

async function asked(body) {
  let response;
  try {
    response = await fetch("view", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  } catch {
    throw new Error("pullback explore does not answer; is it still running in its terminal?");
  }
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error.message);
  return answer;
}

class Learner {
  // data has train and test, each {x, y, count}; y as the loss reads it
  constructor(program, widths, settings, data) {
    Object.assign(this, { program, widths, settings, data, epoch: 0, loss: NaN, history: [] });
    this.params = parametersOf(widths, settings.init, settings.seed);
    this.speed = Object.fromEntries(Object.entries(this.params).map(([name, p]) => [name, new Float64Array(p.length)]));
    this.draw = chance(settings.seed + 5);
    this.measure();
  }

  get depth() { return this.widths.length - 1; }

  // One batch: W ← W − α v, where v gathers the gradients.
  batch(rows) {
    const { x, y } = this.data.train, [into, out] = [this.widths[0], this.widths.at(-1)];
    const some = new Float64Array(rows.length * into), wanted = new Float64Array(rows.length * out);
    rows.forEach((row, at) => {
      some.set(x.subarray(row * into, (row + 1) * into), at * into);
      wanted.set(y.subarray(row * out, (row + 1) * out), at * out);
    });
    const [, found] = this.program.trace(this.params, some, wanted);
    const { rate, momentum, penalty, amount } = this.settings;
    for (const [name, p] of Object.entries(this.params)) {
      const g = found[name], v = this.speed[name], weights = name.startsWith("W");
      for (let k = 0; k < p.length; k += 1) {
        const pull = !weights ? 0 : penalty === "l2" ? amount * p[k] : penalty === "l1" ? amount * Math.sign(p[k]) : 0;
        v[k] = momentum * v[k] + g[k] + pull;
        p[k] -= rate * v[k];
      }
    }
  }

  // Once through all samples, in a new order.
  learn() {
    const { count } = this.data.train, size = Math.min(this.settings.batch, count);
    const order = Array.from({ length: count }, (_, at) => at);
    for (let at = count - 1; at > 0; at -= 1) {
      const other = Math.floor(this.draw.uniform() * (at + 1));
      [order[at], order[other]] = [order[other], order[at]];
    }
    for (let at = 0; at < count; at += size) this.batch(order.slice(at, at + size));
    this.epoch += 1;
    this.measure();
  }

  // Loss, what is right, and how large δ is at each layer, over the training samples.
  measure() {
    const { train, test } = this.data, out = this.widths.at(-1);
    const [loss, found] = this.program.trace(this.params, train.x, train.y);
    const [unseen, other] = test.count ? this.program.trace(this.params, test.x, test.y) : [NaN, null];
    const last = (part) => part[`z${this.depth}`];
    this.loss = loss;
    this.unseen = unseen;
    this.right = this.data.classes ? right(last(found), train.y, out) : null;
    this.unseenRight = this.data.classes && other ? right(last(other), test.y, out) : null;
    // the mean over the batch put 1/N into δ: out with it
    this.delta = this.widths.slice(1).map((_, k) => train.count * Math.sqrt(found[`delta${k + 1}`].reduce((a, d) => a + d * d, 0) / train.count));
    this.dead = this.widths.slice(1, -1).map((units, k) => idle(found[`delta${k + 1}`], units));
    this.history.push([this.epoch, loss, unseen]);
  }

  get finite() { return Number.isFinite(this.loss) && this.delta.every(Number.isFinite); }
}

function right(scores, wanted, out) {
  const rows = scores.length / out;
  let hits = 0;
  for (let at = 0; at < rows; at += 1) {
    let [said, is] = [0, 0];
    for (let k = 1; k < out; k += 1) {
      if (scores[at * out + k] > scores[at * out + said]) said = k;
      if (wanted[at * out + k] > wanted[at * out + is]) is = k;
    }
    hits += said === is;
  }
  return hits / rows;
}

// The units whose δ is 0 at every sample: nothing moves their weights.
function idle(delta, units) {
  return Array.from({ length: units }, (_, k) => {
    for (let at = k; at < delta.length; at += units) if (delta[at] !== 0) return false;
    return true;
  });
}

function sureness(scores) {
  const top = Math.max(...scores), grown = scores.map((z) => Math.exp(z - top));
  const sum = grown.reduce((a, b) => a + b);
  return grown.map((each) => each / sum);
}
