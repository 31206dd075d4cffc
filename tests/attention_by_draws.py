"""One head of self-attention with its backward pass, written out and drawn many times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pullback.moments.law.attention.head import Head, Tokens


@dataclass(frozen=True)
class Case:
    """Tokens of unit variance with a correlation, cotangents with another; s² at no correlation."""

    tokens: int
    width: int
    d: int
    variance: float
    correlation: float = 0.0
    of_cotangent: float = 0.0
    causal: bool = False

    @property
    def keys(self):
        full = np.full(self.tokens, self.tokens)
        return np.arange(1, self.tokens + 1) if self.causal else full

    def head(self, width=None):
        size = np.sqrt(self.variance)
        q = Tokens.alike(self.tokens, size, self.correlation)
        v = Tokens.alike(self.tokens, 1.0, self.correlation)
        return Head(q, q, v, self.keys, self.d**-0.5, self.d, self.d, width or self.width)

    def cotangent(self):
        return Tokens.alike(self.tokens, 1.0, self.of_cotangent)

    def law(self):
        """What ``drawn`` measures."""
        head = self.head()
        errors = head.backward(self.cotangent())
        both = [head.output, errors.value, errors.query, errors.key]
        numbers = [n for each in both for n in (each.square.mean(), each.product)]
        scores = (errors.scores * self.keys).sum() / self.keys.sum()
        return np.array([*numbers, scores, errors.value.square[0], errors.query.square[-1]])

    def drawn(self, draws, seed):
        """Means and standard errors of the same."""
        rng = np.random.default_rng(seed)
        found = np.array([self._draw(rng) for _ in range(draws)])
        return found.mean(axis=0), found.std(axis=0) / np.sqrt(draws)

    def _draw(self, rng):
        x = _correlated(rng, self.tokens, self.width, self.correlation)
        delta = _correlated(rng, self.tokens, self.d, self.of_cotangent)
        shape, std = (self.d, self.width), self.width**-0.5
        q, k = (x @ rng.normal(0, std * self.variance**0.25, shape).T for _ in range(2))
        v = x @ rng.normal(0, std, shape).T
        scale = self.d**-0.5
        scores = scale * q @ k.T
        seen = np.arange(self.tokens) < self.keys[:, None]
        scores = np.where(seen, scores, -np.inf)
        a = np.exp(scores - scores.max(axis=1, keepdims=True))
        a /= a.sum(axis=1, keepdims=True)
        of_a = delta @ v.T
        of_s = a * (of_a - (a * of_a).sum(axis=1, keepdims=True))
        of_v, of_q, of_k = a.T @ delta, scale * of_s @ k, scale * of_s.T @ q
        numbers = [n for each in (a @ v, of_v, of_q, of_k) for n in _moments(each)]
        scores = (of_s**2).sum() / self.keys.sum()
        return [*numbers, scores, (of_v[0] ** 2).mean(), (of_q[-1] ** 2).mean()]


def _correlated(rng, tokens, size, correlation):
    own = rng.normal(size=(tokens, size))
    return np.sqrt(1 - correlation) * own + np.sqrt(correlation) * rng.normal(size=size)


def _moments(each):
    products = each @ each.T / each.shape[1]
    n = len(each)
    return np.trace(products) / n, (products.sum() - np.trace(products)) / (n * (n - 1))
