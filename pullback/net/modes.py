"""Training and evaluation: the noise of a batch, and what asks for one mode of the two."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, Protocol

import numpy as np

from pullback.errors import NotApplicableError, ShapeError, unknown, whole
from pullback.ir import Axes, Axis, Input
from pullback.ir.sizes import Sizes
from pullback.net.checks import as_array, dtype_of
from pullback.net.program import Array
from pullback.nn import Noise


class Moded(Protocol):
    """A network, as far as its mode goes."""

    @property
    def xs(self) -> Mapping[str, Input]: ...
    @property
    def noise(self) -> Mapping[str, Noise]: ...
    @property
    def several(self) -> Mapping[str, Axes]: ...
    def eval(self) -> Moded: ...


def drawn(
    net: Moded, batch: Mapping[str, Array], seed: Any = 0, given: Mapping[str, Any] | None = None
) -> dict[str, Array]:
    """The noise of a batch by name: drawn from a seed, or what is ``given`` in its place.

    Raises UnknownNameError for noise that the network has not, ShapeError for another shape.
    """
    for name in given or ():
        if name not in net.noise:
            raise unknown("noise", name, net.noise)
    if not net.noise:
        return {}
    shapes, dtype = noise_shapes(net, batch), dtype_of(batch)
    rng = np.random.default_rng(seed)
    found: dict[str, Array] = {}
    for name, noise in net.noise.items():
        found[name] = noise.law.draw(shapes[name], rng, dtype)
        if given is not None and name in given:
            array = as_array(name, given[name])
            if array.shape != found[name].shape:
                raise ShapeError(
                    f"the noise {name!r} has shape {array.shape}; expected {found[name].shape}"
                )
            found[name] = array.astype(dtype)
    return found


def noise_shapes(net: Moded, batch: Mapping[str, Array]) -> dict[str, tuple[int, ...]]:
    """The shape of each noise of a batch."""
    if not net.noise:
        return {}
    sizes = _sizes(net, batch)
    return {name: tuple(map(sizes.of, each.leaf.axes)) for name, each in net.noise.items()}


def check_several(net: Moded, batch: Mapping[str, Array]) -> None:
    """Raises ShapeError where a variance over the batch would be of one number."""
    if not net.several:
        return
    sizes = _sizes(net, batch)
    for path, axes in net.several.items():
        if prod(map(sizes.of, axes)) < 2:
            raise ShapeError(
                f"the block at {path!r} takes the variance over {', '.join(a.name for a in axes)}, "
                "which holds one entry in this batch; expected 2 or more: make the batch larger, "
                "or use net.eval()"
            )


def one_by_one(net: Moded) -> None:
    """Raises NotApplicableError where a sample's output is not a function of that sample alone."""
    if net.several:
        place = next(iter(net.several))
        reason = f"other samples: the block at {place!r} takes statistics over the batch"
    elif net.noise:
        reason = f"the noise {next(iter(net.noise))!r}, which is drawn anew for each batch"
    else:
        return
    settled = net.eval()
    fix = "" if settled.several or settled.noise else "; in evaluation it does not: use net.eval()"
    raise NotApplicableError(f"a sample's output depends on {reason}{fix}")


def step_seed(seed: int, step: int) -> tuple[int, int]:
    """The seed of the noise of one step of training: no step's noise depends on another's."""
    return whole("seed", seed, least=0), step


def _sizes(net: Moded, batch: Mapping[str, Array]) -> Sizes:
    sizes: dict[Axis, int] = {}
    for name, leaf in net.xs.items():
        sizes |= dict(zip(leaf.axes, batch[name].shape, strict=True))
    return Sizes(sizes)
