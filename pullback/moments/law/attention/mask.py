"""How many keys each query reads, from a mask of data and patterns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pullback.calculus.quadrature import Array
from pullback.errors import NotApplicableError
from pullback.ir import Axis, Input, Node, Parameter, walk
from pullback.moments.law.given import DataGroups
from pullback.net.program import compile_program


@dataclass(frozen=True)
class Seen:
    """``counts`` of keys of each query (queries,), case by case: the first ones in ``order``."""

    counts: tuple[Array, ...]
    order: Array

    @property
    def places(self) -> Array:
        """Where each key stands in the order."""
        return np.argsort(self.order)


def seen(
    where: Node | None,
    queries: Axis,
    keys: Axis,
    batch: Axis | None,
    samples: DataGroups,
    given: Mapping[str, Array],
) -> Seen:
    """The keys that a mask of what is ``given`` leaves; one of each sample at its mean over a case.

    Raises NotApplicableError for one that a network makes, one that differs between heads, and one
    whose rows are not parts of each other, as a band's.
    """
    sizes, cases = (queries.size or 1, keys.size or 1), len(samples.members)
    if where is None:
        return Seen((np.full(sizes[0], sizes[1]),) * cases, np.arange(sizes[1]))
    leaves = [node for node in walk((where,)) if isinstance(node, (Input, Parameter))]
    if any(leaf.name not in given for leaf in leaves):
        raise NotApplicableError("its mask is made by the network")
    axes = (batch, queries, keys)
    if not {*where.axes} <= {*axes}:
        raise NotApplicableError("its mask differs between heads")
    program = compile_program({"value": where}, "Which keys count.", leaves=leaves)
    value = np.asarray(program(given, given)["value"])
    value = np.transpose(value, [where.axes.index(axis) for axis in axes if axis in where.axes])
    value = np.expand_dims(value, [at for at, axis in enumerate(axes) if axis not in where.axes])
    mask = np.broadcast_to(value != 0, (len(value), *sizes))
    order = np.argsort(-mask.sum(axis=(0, 1)), kind="stable")
    counts = mask.sum(axis=2)
    if batch in where.axes:
        means = [counts[members].mean(axis=0) for members in samples.members]
        return Seen(tuple(np.rint(mean).astype(int) for mean in means), order)
    if (np.diff(mask[0][:, order].astype(int), axis=1) > 0).any():
        raise NotApplicableError("its mask has rows that are not parts of each other")
    return Seen((counts[0],) * cases, order)
