// Data: points of the plane, made from a seed; or a table of one's own. Each is {x, y}, y a class
// or a value; what is made fits into a square of half a side HALF around 0.

const HALF = 2.4;

// Numbers that look random and are the same each time (mulberry32), and normal ones of them.
function chance(seed) {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  return { uniform, normal };
}

function arm(k, arms, turns) {
  return ({ uniform }) => {
    const r = Math.sqrt(0.02 + 0.98 * uniform()), angle = turns * r + 2 * Math.PI * k / arms;
    return [1.9 * r * Math.cos(angle), 1.9 * r * Math.sin(angle)];
  };
}

const square = ({ uniform }) => [3.6 * uniform() - 1.8, 3.6 * uniform() - 1.8];
const ring = (radius) => ({ uniform }) => {
  const angle = 2 * Math.PI * uniform();
  return [radius * Math.cos(angle), radius * Math.sin(angle)];
};
const moon = (sign) => ({ uniform }) => {
  const angle = Math.PI * uniform();
  return [1.3 * (sign * Math.cos(angle) - 0.5 * sign), 1.3 * (sign * Math.sin(angle) - 0.25 * sign)];
};
const cloud = (u, v, spread = 0.45) => ({ normal }) => [u + spread * normal(), v + spread * normal()];

// Of each set: how many classes, and a point of a class; or the value at a point of the square.
const SETS = {
  moons: { name: "two moons", classes: 2, point: (k) => moon(k ? -1 : 1), noise: 0.6 },
  circles: { name: "two circles", classes: 2, point: (k) => ring(k ? 0.7 : 1.7), noise: 0.6 },
  xor: { name: "exclusive or", classes: 2, point: (k) => (draw) => {
    const [u, v] = square(draw);
    return [u, (u * v > 0) === (k === 0) ? v : -v];
  }, noise: 0.6 },
  clouds: { name: "three clouds", classes: 3, point: (k) => cloud(...[[-1.1, -0.7], [1.1, -0.7], [0, 1]][k]), noise: 0.8 },
  spirals: { name: "two spirals", classes: 2, point: (k) => arm(k, 2, 5.2), noise: 0.25 },
  arms: { name: "three spirals", classes: 3, point: (k) => arm(k, 3, 4), noise: 0.25 },
  slope: { name: "a slope", value: (u, v) => (u + v) / 2.6, noise: 0.5 },
  hills: { name: "two hills", value: (u, v) => 2 * Math.exp(-((u - 0.9) ** 2 + (v - 0.9) ** 2)) - 2 * Math.exp(-((u + 0.9) ** 2 + (v + 0.9) ** 2)), noise: 0.5 },
  waves: { name: "waves", value: (u, v) => Math.sin(2 * u) * Math.cos(1.5 * v), noise: 0.5 },
};

// count points of a set, noise from 0 to 1, in a random order.
function drawn(name, count, noise, seed) {
  const set = SETS[name], draw = chance(1000 * seed + 17);
  const found = Array.from({ length: count }, (_, at) => {
    if (set.value) {
      const x = square(draw);
      return { x, y: set.value(...x) + noise * set.noise * draw.normal() };
    }
    const k = at % set.classes;
    return { x: set.point(k)(draw).map((v) => v + noise * set.noise * draw.normal()), y: k };
  });
  for (let at = count - 1; at > 0; at -= 1) {
    const other = Math.floor(draw.uniform() * (at + 1));
    [found[at], found[other]] = [found[other], found[at]];
  }
  return { points: found, classes: set.classes ?? 0, names: "ABC".slice(0, set.classes ?? 0).split("") };
}

// A table of one's own: two columns of numbers and a target behind them, classes where it is words
// or few whole numbers. Throws an error that names the line and what was expected there.
function readTable(text) {
  const lines = text.split(/\r?\n/).map((line) => line.trim());
  const filled = lines.map((line, at) => [line, at + 1]).filter(([line]) => line !== "");
  if (!filled.length) throw new Error("The file is empty; expected rows such as 1.5,2.0,yes.");
  const sign = ["\t", ";", ","].find((each) => filled[0][0].includes(each)) ?? ",";
  const cells = (line) => line.split(sign).map((cell) => cell.trim().replace(/^"(.*)"$/, "$1"));
  const number = (cell) => (cell === "" ? NaN : Number(sign === ";" ? cell.replace(",", ".") : cell));
  let rows = filled.map(([line, at]) => ({ cells: cells(line), at }));
  const width = rows[0].cells.length;
  if (width < 3) throw new Error(`Line ${rows[0].at} has ${width} column${width === 1 ? "" : "s"}; expected two of numbers and a target.`);
  let names = null;
  if (rows[0].cells.slice(0, -1).some((cell) => Number.isNaN(number(cell)))) [{ cells: names }, ...rows] = rows;
  names ??= rows[0].cells.map((_, at) => `column ${at + 1}`);
  const odd = rows.find((row) => row.cells.length !== width);
  if (odd) throw new Error(`Line ${odd.at} has ${odd.cells.length} columns, the first has ${width}.`);
  const numeric = names.map((_, at) => at).slice(0, -1).filter((at) => rows.filter((row) => !Number.isNaN(number(row.cells[at]))).length > rows.length / 2);
  if (numeric.length < 2) throw new Error(`Only ${numeric.length} of the first ${width - 1} columns are numbers; expected two.`);
  const used = numeric.slice(0, 2), last = width - 1;
  const whole = rows.filter((row) => used.every((at) => !Number.isNaN(number(row.cells[at]))) && row.cells[last] !== "");
  if (whole.length < 10) throw new Error(`${whole.length} rows are complete; expected 10 or more.`);
  const kinds = [...new Set(whole.map((row) => row.cells[last]))].sort();
  const words = kinds.some((kind) => Number.isNaN(number(kind)));
  const few = kinds.length <= 3 && kinds.every((kind) => words || Number.isInteger(number(kind)));
  if (words && kinds.length > 3) throw new Error(`The column ${names[last]} has ${kinds.length} classes; the page tells up to 3 apart.`);
  const scaled = (values, to) => {
    const mean = values.reduce((a, b) => a + b) / values.length;
    const spread = Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length) || 1;
    return values.map((value) => to * (value - mean) / spread);
  };
  const [u, v] = used.map((at) => scaled(whole.map((row) => number(row.cells[at])), 0.9));
  const y = few ? whole.map((row) => kinds.indexOf(row.cells[last])) : scaled(whole.map((row) => number(row.cells[last])), 0.6);
  const skipped = rows.length - whole.length;
  return {
    points: whole.map((_, at) => ({ x: [u[at], v[at]], y: y[at] })),
    classes: few ? kinds.length : 0,
    names: few ? kinds : [],
    told: `${whole.length} rows: ${names[used[0]]} across, ${names[used[1]]} up, both scaled; ${names[last]} is ${few ? `the class (${kinds.join(", ")})` : "the value"}${skipped ? `; ${skipped} incomplete rows left out` : ""}.`,
  };
}

// What the network is given of a point.
const FEATURES = {
  x1: { name: "x₁", of: (u) => u },
  x2: { name: "x₂", of: (_, v) => v },
  s1: { name: "x₁²", of: (u) => u * u },
  s2: { name: "x₂²", of: (_, v) => v * v },
  xx: { name: "x₁x₂", of: (u, v) => u * v },
  n1: { name: "sin x₁", of: (u) => Math.sin(2 * u) },
  n2: { name: "sin x₂", of: (_, v) => Math.sin(2 * v) },
};

function inputs(points, features) {
  const found = new Float64Array(points.length * features.length);
  points.forEach(([u, v], at) => features.forEach((name, k) => { found[at * features.length + k] = FEATURES[name].of(u, v); }));
  return found;
}
