"""What a module of JavaScript brings with it: erf, and matrices by elimination."""

from __future__ import annotations

ERF = """\
function erfc(x) {
  if (x < 2) return 1 - erf(x);
  let tail = 0;  // a continued fraction: Abramowitz and Stegun, 7.1.14
  for (let k = 80; k > 0; k -= 1) tail = 0.5 * k / (x + tail);
  return Math.exp(-x * x) / (Math.sqrt(Math.PI) * (x + tail));
}

function erf(x) {
  if (!(Math.abs(x) < 2)) return x > 0 ? 1 - erfc(x) : x < 0 ? erfc(-x) - 1 : x;
  let term = x, sum = x;  // a series of terms of one sign: 7.1.6
  for (let k = 1; k < 60; k += 1) sum += term *= 2 * x * x / (2 * k + 1);
  return 2 / Math.sqrt(Math.PI) * Math.exp(-x * x) * sum;
}"""

MATRICES = """\
// Gauss and Jordan, the largest pivot first: the inverse, the sign and the log of the determinant.
function eliminated(matrix, n, least) {
  const a = Float64Array.from(matrix), inverse = new Float64Array(n * n);
  let sign = 1, log = 0;
  for (let i = 0; i < n; i += 1) inverse[i * n + i] = 1;
  for (let k = 0; k < n; k += 1) {
    let p = k;
    for (let i = k + 1; i < n; i += 1) if (Math.abs(a[i * n + k]) > Math.abs(a[p * n + k])) p = i;
    const pivot = a[p * n + k];
    if (!(Math.abs(pivot) > least)) return { sign: 0, log: -Infinity, inverse };
    sign *= (p === k ? 1 : -1) * Math.sign(pivot);
    log += Math.log(Math.abs(pivot));
    for (const rows of [a, inverse]) {
      for (let j = 0; j < n; j += 1) {
        const entry = rows[p * n + j] / pivot;
        rows[p * n + j] = rows[k * n + j];
        rows[k * n + j] = entry;
      }
    }
    for (let i = 0; i < n; i += 1) {
      const times = i === k ? 0 : a[i * n + k];
      for (let j = 0; j < n; j += 1) {
        a[i * n + j] -= times * a[k * n + j];
        inverse[i * n + j] -= times * inverse[k * n + j];
      }
    }
  }
  return { sign, log, inverse };
}

function inverse(matrix, n, called) {
  const largest = matrix.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
  const found = eliminated(matrix, n, largest * n * 2.3e-16);
  if (found.sign === 0) throw new RangeError(`${called} is singular: it has no inverse`);
  return found.inverse;
}

function determinant(matrix, n) {
  const found = eliminated(matrix, n, 0);
  return found.sign === 0 ? 0 : found.sign * Math.exp(found.log);
}

function logdet(matrix, n, called) {
  const found = eliminated(matrix, n, 0);
  if (found.sign === 0) throw new RangeError(`${called} is singular: its determinant is 0`);
  return found.log;
}"""
