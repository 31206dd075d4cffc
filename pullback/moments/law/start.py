"""The output error of any loss: the last Gaussian units are drawn by their law, and δ taken.

Where the output has no Gaussian law of its own, as behind a softmax, they are the units of the
last equation that every way to the output passes and that has one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pullback.calculus import cotangents
from pullback.errors import NotApplicableError
from pullback.ir import Axis, Input, Named, Parameter, simplify, walk
from pullback.ir.build import sum_over
from pullback.ir.lift import lifted
from pullback.moments.law.given import DataGroups
from pullback.moments.law.quadrature import Array
from pullback.moments.law.units import Placed, Units
from pullback.net.network import Network
from pullback.net.program import compile_program

_SAMPLES = 16  # of each group, at most
_ENTRIES = 400_000  # that are drawn, over all samples
_PLACES = 512  # between which correlations are drawn


def last_gaussian(net: Network, known: Mapping[Named, Any]) -> Named:
    """The equation nearest the output that all of it goes through and whose units have a law.

    Raises NotApplicableError where there is none.
    """
    output = net.built
    order = list(known)
    common = None
    for leaf in net.xs.values():
        cuts = {n for n in net.built_graph.between(leaf, output).cuts if n in known}
        common = cuts if common is None else common & cuts
    found = [each for each in order if each in (common or set())]
    gaussian = [each for each in found if known[each].units.gaussian]
    if gaussian:
        return gaussian[-1]
    if not found:
        raise NotApplicableError("no equation that its whole output goes through has a law")
    return found[-1]


def output_error(
    net: Network,
    at: Named,
    units: Units,
    fixed: Mapping[str, Array],
    batch: Mapping[str, Array],
    s: DataGroups,
    seed: int,
) -> Placed:
    """Moments of ∂L/∂u of one sample at an equation whose units u are drawn."""
    rng = np.random.default_rng([seed, 41])
    each = net.criterion.of_sample(net.built, net.target)
    held = Input(f"{at.name} drawn", at.axes)
    (loss,) = lifted([each], {at: held})
    total = simplify(sum_over(loss, loss.axes))[0]
    (delta,) = simplify(cotangents(total, [held])[held])
    leaves = {n.name for n in walk((delta,)) if isinstance(n, (Input, Parameter))}
    if left := leaves - {held.name, net.target.name, *fixed}:
        raise NotApplicableError(f"no law is known behind {at.name}, of {', '.join(sorted(left))}")
    program = compile_program({"delta": delta}, "The output error.", leaves=[held, net.target])
    axes = [axis for axis in at.axes if axis != net.built_graph.batch]
    means, seconds, pairs = [], [], []
    for case, members in enumerate(s.members):
        some = members[np.linspace(0, len(members) - 1, min(len(members), _SAMPLES)).astype(int)]
        entries = len(some) * int(np.prod([a.size or 1 for a in axes]))
        draws = max(2, _ENTRIES // (entries * len(s.members)))
        u = _drawn(units, case, draws * len(some), rng, axes)
        target = np.tile(batch["target"][some], (draws, *(1,) * (batch["target"].ndim - 1)))
        with np.errstate(all="ignore"):
            found = program(fixed, {held.name: u, net.target.name: target})["delta"]
        order = [at.axes.index(a) for a in delta.axes]
        found = np.transpose(found, np.argsort(order)) if delta.axes != at.axes else found
        mean, second, both = _moments(found, units, axes)
        means.append(mean)
        seconds.append(second)
        pairs.append(both)
    together = None
    if units.law.pairs is not None:
        two = [np.multiply.outer(mean, mean) for mean in means]  # of two samples
        together = np.stack([pairs, two] if s.across else [pairs])
    return Placed(units.law.kept, np.stack(means), np.stack(seconds), together)


def _drawn(
    units: Units, case: int, count: int, rng: np.random.Generator, axes: list[Axis]
) -> Array:
    """Values (count, *axes) of Gaussian units."""
    law, wide = units.law, units.wide
    case = min(case, len(law.mean) - 1)
    sizes = [d.size or 1 for d in wide]
    places = int(np.prod(law.mean.shape[1:]))
    x = rng.standard_normal((count, *sizes, places))
    covariances = law.covariances
    if covariances is not None and places <= _PLACES:
        values, vectors = np.linalg.eigh(covariances[0, case].reshape(places, places))
        x = x @ (vectors * np.sqrt(np.maximum(values, 0.0))).T
    else:
        x = x * np.sqrt(law.variance[case].ravel())
    x = (x + law.mean[case].ravel()).reshape(count, *sizes, *law.mean.shape[1:])
    have = [*wide, *law.kept]
    order = [1 + have.index(d) for axis in axes for d in units.parts[axis]]
    return np.ascontiguousarray(
        np.transpose(x, (0, *order)).reshape(count, *(a.size or 1 for a in axes))
    )


def _moments(delta: Array, units: Units, axes: list[Axis]) -> tuple[Array, Array, Array]:
    """Mean, mean square and products at pairs of places, over draws and wide axes."""
    law, wide = units.law, units.wide
    digits = [d for axis in axes for d in units.parts[axis]]
    x = delta.reshape(len(delta), *(d.size or 1 for d in digits))
    order = [0, *(1 + digits.index(d) for d in wide), *(1 + digits.index(d) for d in law.kept)]
    x = np.transpose(x, order)
    flat = x.reshape(-1, *law.mean.shape[1:])
    both = flat.reshape(len(flat), -1)
    places = law.mean.shape[1:]
    pairs = (both.T @ both / len(both)).reshape((*places, *places))
    return flat.mean(axis=0), (flat**2).mean(axis=0), pairs
