"""The law of one head of attention at infinite width: values forward, errors backward.

Logits are Gaussian: s² = scale² · d · Var q · (Var k − Cov k), d numbers in a query. What all keys
or values have in common passes a softmax unchanged, since its weights sum to 1, so biases of keys
and values, and the part that tokens share, are in the covariances alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from pullback.calculus.quadrature import Array
from pullback.moments.law.attention.softmax_rows import RowMoments, row_moments, shared

FORWARD = (
    "limit of wide heads with independent Gaussian logits at one query; exact in the number of "
    "keys; tokens are alike, and the covariance between two is taken at its mean over pairs"
)
BACKWARD = f"{FORWARD}; the cotangent is independent of the values, as behind a zero-mean read-out"


@dataclass(frozen=True)
class Tokens:
    """One entry of every token: its mean square (tokens,), the mean product of two tokens'.

    ``assumption`` is what the numbers rest on.
    """

    square: Array
    product: float
    assumption: str = ""

    @classmethod
    def alike(cls, tokens: int, square: float, correlation: float = 0.0) -> Tokens:
        """So many tokens of one law."""
        return cls(np.full(tokens, float(square)), square * correlation)

    @property
    def own(self) -> Array:
        """The mean square of what a token does not share with the others (tokens,)."""
        return np.asarray(np.maximum(self.square - self.product, 0.0))

    @property
    def correlation(self) -> float:
        """Of two tokens, between −1 and 1."""
        size = float(self.square.mean())
        return min(max(self.product / size, -1.0), 1.0) if size > 0 else 0.0

    def ordered(self, order: Array) -> Tokens:
        """The same tokens in another order."""
        return replace(self, square=self.square[order])

    def __len__(self) -> int:
        return len(self.square)


@dataclass(frozen=True)
class HeadErrors:
    """E δ² of one head: at values and keys (keys,), at queries (queries,).

    ``weights`` and ``scores`` are of one entry of a row (queries,), its mean over what it reads.
    """

    value: Tokens
    key: Tokens
    query: Tokens
    weights: Array
    scores: Array


@dataclass(frozen=True)
class Head:
    """Attention of queries (queries, d) to keys (keys, d) with values (keys, d_value).

    ``keys`` are how many each query reads (queries,), the first ones: all, or under a causal mask
    1, 2, 3, …, or those that are no padding. ``width`` is that of the tokens that keys and values
    are both made of; infinite where they are made of different ones.
    Source: Giorlandino and Goldt 2025 (logits); the term in 1/width is the pull of the mean of the
    tokens along the query.

    >>> alike = Tokens.alike(64, 1.0)
    >>> head = Head(alike, alike, alike, np.full(64, 64), 1 / 4, d=16, d_value=16, width=256)
    >>> head.output.square[:2].round(4).tolist()
    [0.0425, 0.0425]
    """

    query: Tokens
    key: Tokens
    value: Tokens
    keys: Array
    scale: float
    d: int
    d_value: int
    width: float = np.inf

    @cached_property
    def logit_variance(self) -> Array:
        """s² of each row (queries,): what differs between keys."""
        return np.asarray(self.scale**2 * self.d * self.query.square * self.read(self.key.own))

    @cached_property
    def rows(self) -> RowMoments:
        """The moments of each row of weights."""
        return row_moments(self.logit_variance, self.keys)

    @cached_property
    def output(self) -> Tokens:
        """An entry of what each query gets; 0 where it reads no key."""
        rows, own = self.rows, self.read(self.value.own)
        taken = rows.squares + (rows.pull - rows.squares) / self.width
        pulled = self.query.correlation * (_joint(rows.pull) - self._overlap) / self.width
        common = self.value.product * (self._pairs[0] > 0)
        both = _joint(own) * (self._overlap + pulled) + common
        return Tokens(own * taken + np.diag(common), _over_pairs(both), FORWARD)

    def backward(self, cotangent: Tokens) -> HeadErrors:
        """E δ² at values, weights, scores, keys and queries for that of the output.

        ``cotangent`` is of one entry (queries, d_value).
        """
        rows, delta, both = self.rows, cotangent.square, cotangent.product
        values = self.d_value * self.read(self.value.own)
        keys = self.read(self.key.own)
        rest = np.multiply.outer(1 - rows.squares, 1 - rows.squares)
        slopes = self._overlap * rest  # E tr BB' of two rows
        tilt = rows.slopes + (rows.slopes + rows.rest) / self.width
        joint_tilt = slopes + rest / self.width
        at_query = delta * values * keys * tilt
        of_pairs = both * _joint(values * keys) * joint_tilt
        at_key = delta * values * rows.slopes * self.query.square
        met = both * _joint(values) * slopes * self._query_product
        value = self._at_keys(delta * rows.squares, both * self._overlap)
        key = self.scale**2 * self._at_keys(at_key, met)
        read = self.keys > 0
        arriving = _over_all(delta * read, both * np.outer(read, read))
        return HeadErrors(
            value=Tokens(value, _between(value, arriving), BACKWARD),
            key=Tokens(key, _between(key, 0.0), BACKWARD),  # a shift of all keys changes nothing
            query=Tokens(self.scale**2 * at_query, self.scale**2 * _over_pairs(of_pairs), BACKWARD),
            weights=delta * self.d_value * self.read(self.value.square),
            scores=_per(delta * values * rows.slopes, self.keys),
        )

    @property
    def _query_product(self) -> float:
        """The mean product of two queries, where pairs count by how much their rows overlap.

        That grows as e^(s² correlation), and at finite widths the correlation varies by 1/d + 1/w.
        """
        size, spread = float(self.query.square.mean()), 1 / self.d + 1 / self.width
        return self.query.product + size * spread * float(self.logit_variance.mean())

    @cached_property
    def _pairs(self) -> tuple[Array, Array]:
        """The smaller and the larger number of keys of two rows (queries, queries)."""
        return np.minimum.outer(self.keys, self.keys), np.maximum.outer(self.keys, self.keys)

    @cached_property
    def _overlap(self) -> Array:
        """E Σ A A' of two rows: what the larger one has on the keys of the smaller is alike."""
        few, many = self._pairs
        variance = float(np.mean(self.logit_variance[self.keys > 0])) if few.any() else 0.0
        some, member = np.unique(few, return_inverse=True)
        found = shared(variance, self.query.correlation, some)[member.reshape(few.shape)]
        return np.asarray(found * _per(few, many))

    def read(self, values: Array) -> Array:
        """The mean over the keys that each query reads (queries,)."""
        sums = np.concatenate([[0.0], np.cumsum(values)])
        return np.asarray(sums[self.keys] / np.maximum(self.keys, 1))

    def _at_keys(self, rows: Array, pairs: Array) -> Array:
        """What arrives at each key (keys,), from (queries,) and from pairs of different queries."""
        few, _ = self._pairs
        alone = np.bincount(self.keys, _per(rows, self.keys), len(self.key) + 1)
        apart = ~np.eye(len(few), dtype=bool)
        both = np.bincount(few[apart], _per(pairs, few)[apart], len(self.key) + 1)
        return np.asarray(np.cumsum((alone + both)[::-1])[::-1][1:])


def _joint(values: Array) -> Array:
    """√ of the product of two rows' (queries, queries)."""
    root = np.sqrt(values)
    return np.outer(root, root)


def _per(values: Array, keys: Array) -> Array:
    return np.divide(values, keys, out=np.zeros(values.shape), where=keys > 0)


def _over_all(alone: Array, pairs: Array) -> float:
    """The sum over pairs (n, n), those of one with itself from (n,)."""
    return float(alone.sum() + pairs.sum() - np.trace(pairs))


def _over_pairs(pairs: Array) -> float:
    """The mean over pairs of different ones."""
    n = len(pairs)
    return _over_all(np.zeros(n), pairs) / (n * (n - 1)) if n > 1 else 0.0


def _between(squares: Array, total: float) -> float:
    """The mean product of two different ones where all products sum to the total."""
    n = len(squares)
    return float(total - squares.sum()) / (n * (n - 1)) if n > 1 else 0.0
