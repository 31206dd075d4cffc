"""∂output/∂p of each sample, read off the gradient of p: a sum over places of δ ⊗ a.

Reverse mode ends at a parameter with a product that sums over the samples: for a weight over
tokens, Σ over samples and tokens of δ x. Without the samples in that sum it is the Jacobian of each
sample, and its factors are known: the one that the cotangent of the output reaches is δ, all others
are a. What an axis is follows from where it stands: on p and δ an output of the weight, on p and a
an input, on δ and a a place (a token, a position of a convolution, a turn of a recurrence).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from pullback.calculus import cotangents, linearise
from pullback.calculus.sweep import moved
from pullback.emit.correlation import is_window
from pullback.errors import ConfigError
from pullback.ir import (
    Add,
    Axes,
    Axis,
    Contract,
    Input,
    Named,
    Node,
    Parameter,
    Pattern,
    simplify,
    walk,
)
from pullback.ir.axis import union
from pullback.ir.build import add, spread
from pullback.ir.lift import lifted
from pullback.ir.lookup import OneHot
from pullback.ir.node import depending_on
from pullback.net.inputs import BATCH
from pullback.net.program import Array, Compiled, compile_program

ROWS = Axis("rows of the Jacobian")
SEED = "cotangent of the output"
Factors = tuple[Node, ...]


@dataclass(frozen=True, eq=False)
class DeltaPair:
    """One δ and one a: the block of their parameter is the sum over places of δ ⊗ a.

    ``delta`` is a key of the program's results (rows, batch, *places, *out), ``a`` one
    (batch, *places, *in). Of a lookup ``index`` is the input of its whole numbers, and ``order``
    says which of that input's axes are (batch, *places).
    """

    delta: str
    a: str
    places: int
    index: str = ""
    order: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class SlopeTerm:
    """What is known of a parameter's block before there are numbers.

    It is held as ``pairs``, or is the result ``whole`` (rows, batch, *axes of the parameter).
    """

    leaf: Parameter
    out: Axes = ()
    inner: Axes = ()
    pairs: tuple[DeltaPair, ...] = ()
    whole: str = ""

    @property
    def turn(self) -> tuple[int, ...]:
        """Where each axis of the parameter is among (*out, *in)."""
        held = (*self.out, *self.inner)
        return tuple(held.index(axis) for axis in self.leaf.axes)


@dataclass(frozen=True, eq=False)
class SlopeTerms:
    """The terms of some parameters, and two programs: of what cotangents reach, and of every a.

    The first has an axis of ``ROWS``, one for each cotangent. With ``copies`` it has not, and each
    cotangent gets a copy of the samples: a convolution is compiled for one axis of samples, and to
    repeat the way forward costs less than to have another one besides.
    """

    terms: tuple[SlopeTerm, ...]
    swept: Compiled
    given: Compiled | None
    copies: bool

    def __call__(
        self, parameters: Mapping[str, Array], inputs: Mapping[str, Array], seed: Array
    ) -> dict[str, Array]:
        """Every δ and a by key, for cotangents (rows, batch, …) of the output."""
        found: dict[str, Array] = self.given(parameters, inputs) if self.given else {}
        if not self.copies:
            return found | self.swept(parameters, {**inputs, SEED: np.ascontiguousarray(seed)})
        rows, samples = seed.shape[:2]
        again = {SEED: seed} | {
            name: np.broadcast_to(x, (rows, *x.shape)) for name, x in inputs.items()
        }
        flat = {name: x.reshape(-1, *x.shape[2:]) for name, x in again.items()}
        for key, value in self.swept(parameters, flat).items():
            found[key] = value.reshape(rows, samples, *value.shape[1:])
        return found


@lru_cache(maxsize=32)
def terms_of(output: Node, leaves: tuple[Parameter, ...], inputs: tuple[Input, ...]) -> SlopeTerms:
    """Those of an output (batch, …) by some parameters.

    Raises ConfigError where a sample's output depends on other samples.
    """
    _check_apart(output, leaves)
    (root,) = simplify(output)
    seed = Input(SEED, root.axes)
    found = cotangents(root, leaves, seed)
    slopes = simplify(*(found[leaf] for leaf in leaves))
    reader = _Reader(seed, slopes)
    terms = tuple(
        reader.read(leaf, slope) or reader.written(leaf, _of_each(root, leaf, seed))
        for leaf, slope in zip(leaves, slopes, strict=True)
    )
    nodes = [spread(node, axes) for node, axes in reader.keys]
    keys, copies = [*reader.keys.values()], _slides(root)
    if not copies:
        again = Input(SEED, (ROWS, *seed.axes))
        nodes, seed = [*lifted(nodes, {seed: again})], again
    done = dict(zip(keys, simplify(*nodes), strict=True))
    reached = depending_on(done.values(), (seed,))
    # what is written out has a row for each cotangent, also where it is 0 whatever these are
    whole = {term.whole for term in terms}
    swept = {
        key: node if node in reached or copies else spread(node, (ROWS, *node.axes))
        for key, node in done.items()
        if node in reached or key in whole
    }
    given = {key: node for key, node in done.items() if key not in swept}
    return SlopeTerms(
        terms,
        compile_program(swept, "δ of every parameter.", leaves=(*inputs, seed)),
        compile_program(given, "a of every parameter.", leaves=inputs) if given else None,
        copies,
    )


def _slides(root: Node) -> bool:
    """Is there a convolution, a weight that windows of the samples meet?"""
    for node in walk((root,)):
        if isinstance(node, Contract):
            patterns = [each for each in node.factors if isinstance(each, Pattern)]
            sides = [each.axes for each in node.factors if each not in patterns]
            if len(sides) == 2 and any(is_window(each, sides, node.over) for each in patterns):
                return True
    return False


def _check_apart(output: Node, leaves: Iterable[Node]) -> None:
    on_way = moved((output,), leaves)
    for node in walk((output,)):
        for arg, link in linearise(node) if node in on_way else ():
            if arg not in on_way or BATCH not in arg.axes:
                continue
            kind = link.structure()[BATCH.name]
            if BATCH not in link.out or kind not in ("identity", "diagonal"):
                raise ConfigError(
                    "a sample's output depends on other samples: there is no Jacobian for each "
                    "sample"
                )


def _of_each(root: Node, leaf: Parameter, seed: Input) -> Node:
    """∂root/∂leaf of each sample (batch, …), whatever the parameter goes through.

    Each sample gets a parameter of its own, and after the sweep it is the same one again.
    """
    own = Input(f"{leaf.name} of each sample", (BATCH, *leaf.axes))
    made: dict[Node, Node] = {leaf: own}
    for node in walk((root,)):
        if node not in made:
            args = tuple(made[arg] for arg in node.args)
            apart = args == node.args or BATCH in node.axes
            made[node] = node.rebuild(args) if apart else node.lift(args, (BATCH,), False)
    (slope,) = (cotangents(made[root], [own], seed)[own],)
    return lifted((slope,), {own: spread(leaf, own.axes)})[0]


class _Reader:
    """Reads terms off gradients, and collects what their program has to give."""

    def __init__(self, seed: Input, slopes: Iterable[Node]) -> None:
        self.seed = seed
        self.reached = depending_on(slopes, (seed,))
        self.keys: dict[tuple[Node, Axes], str] = {}

    def read(self, leaf: Parameter, slope: Node) -> SlopeTerm | None:
        """The term of a parameter, or None where its gradient is no sum of products of samples."""
        sides: dict[frozenset[Node], tuple[Factors, list[Node]]] = {}
        for part in _summands(slope):
            split = self._sides(leaf, part)
            if split is None:
                return None
            delta, a = split
            kept = tuple(x for x in union(f.axes for f in delta) if x in leaf.axes or _on(a, x))
            over = (BATCH, *(axis for axis in kept if axis != BATCH))
            sides.setdefault(frozenset(a), (a, []))[1].append(Contract(delta, over))
        found = [
            (a, deltas[0] if len(deltas) == 1 else add(*deltas)) for a, deltas in sides.values()
        ]
        term = self._pairs(leaf, found)
        if term is not None:
            return term
        wholes = [spread(Contract((delta, *a), _kept(leaf, (delta, *a))), (BATCH, *leaf.axes))
                  for a, delta in found]  # fmt: skip
        return self.written(leaf, wholes[0] if len(wholes) == 1 else Add(tuple(wholes)))

    def written(self, leaf: Parameter, whole: Node) -> SlopeTerm:
        """A term whose block the program writes out."""
        return SlopeTerm(leaf, whole=self._key(whole, (BATCH, *leaf.axes)))

    def _pairs(self, leaf: Parameter, found: Sequence[tuple[Factors, Node]]) -> SlopeTerm | None:
        """The term as δ and a, where they have no axis of the parameter in common."""
        pairs: list[DeltaPair] = []
        ways: set[tuple[frozenset[Axis], bool]] = set()
        for a, delta in found:
            on_a = union(f.axes for f in a)
            out = tuple(axis for axis in leaf.axes if axis in delta.axes)
            inner = tuple(axis for axis in leaf.axes if axis in on_a)
            if not (out and inner) or set(out) & set(inner) or len(out + inner) < len(leaf.axes):
                return None
            own = (BATCH, *leaf.axes)
            places = tuple(axis for axis in delta.axes if axis not in own)
            key = self._key(delta, (BATCH, *places, *out))
            pair = _lookup(a, key, places, inner) or DeltaPair(
                key, self._key(Contract(a, _over(on_a, places, inner)), (BATCH, *places, *inner)),
                len(places),
            )  # fmt: skip
            pairs.append(pair)
            ways.add((frozenset(out), bool(pair.index)))
        return SlopeTerm(leaf, out, inner, tuple(pairs)) if len(ways) == 1 else None

    def _key(self, node: Node, axes: Axes) -> str:
        return self.keys.setdefault((node, axes), f"factor {len(self.keys)}")

    def _sides(self, leaf: Parameter, part: Node) -> tuple[Factors, Factors] | None:
        """The factors of a product that belong to δ, and those that belong to a."""
        factors = part.factors if isinstance(part, Contract) else (part,)
        delta = [each for each in factors if each in self.reached]
        if len(delta) != 1 or BATCH not in delta[0].axes:
            return None
        a = [each for each in factors if each not in delta and BATCH in each.axes]
        rest = [each for each in factors if each not in delta and each not in a]
        while joined := [f for f in rest if any(_on(a, x) for x in f.axes if x not in leaf.axes)]:
            a += joined
            rest = [each for each in rest if each not in joined]
        return (*delta, *rest), tuple(a)


def _summands(slope: Node) -> Iterator[Node]:
    if isinstance(slope, Named):
        yield from _summands(slope.arg)
    elif isinstance(slope, Add):
        for term in slope.terms:
            yield from _summands(term)
    else:
        yield slope


def _on(factors: Iterable[Node], axis: Axis) -> bool:
    return any(axis in each.axes for each in factors)


def _kept(leaf: Parameter, factors: Factors) -> Axes:
    """The batch, and the axes of the parameter that some factor has."""
    return (BATCH, *(axis for axis in leaf.axes if _on(factors, axis)))


def _over(axes: Axes, places: Axes, inner: Axes) -> Axes:
    """Of the axes of a those that are not summed."""
    return tuple(axis for axis in (BATCH, *places, *inner) if axis in axes)


def _lookup(a: Factors, delta: str, places: Axes, inner: Axes) -> DeltaPair | None:
    """A pair that looks up, where a is a row of zeros with a one for each of an input's numbers."""
    if len(a) != 1 or not isinstance(a[0], OneHot) or not isinstance(a[0].index, Input):
        return None
    index = a[0].index
    if set(index.axes) != {BATCH, *places} or inner != (a[0].axis,):
        return None
    order = tuple(index.axes.index(axis) for axis in (BATCH, *places))
    return DeltaPair(delta, "", len(places), index.name, order)
