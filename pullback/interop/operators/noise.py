"""What is drawn at random: noise that a model adds, and dropout while it is trained."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pullback.errors import ConversionError
from pullback.interop.builder import Builder
from pullback.interop.operators.elementwise import chosen, mapped
from pullback.interop.operators.lookups import detached
from pullback.interop.operators.shapes import filled
from pullback.interop.rows import Held
from pullback.interop.values import Compared, PlacedNode, axes_of
from pullback.ir import Constant, symbol
from pullback.ir.build import multiply
from pullback.nn.noise import Bernoulli, NoiseLaw, NormalNoise, UniformNoise


def dropped(
    b: Builder, input: Any, p: float = 0.5, train: bool = True, *, channels: bool = False,
    part: str = "",
) -> PlacedNode:  # fmt: skip
    """In training x · mask/(1 − p), each entry of the mask 0 with probability p; else x itself.

    The mask has the axes of x, or its first two, the samples and their channels.
    """
    x = b.tensor(input)
    if not (train and p and b.at.training):
        return x
    dims = x.dims[:2] if channels else x.dims
    if channels and len(x.dims) < 3:
        raise ConversionError("it drops whole channels, and there is one entry in each")
    mask = b.noise(part, axes_of(dims), Bernoulli(1 - float(p)))
    grown = Constant(1 / (1 - p) if p < 1 else 1.0)
    return replace(x, node=multiply(x.node, mask, grown), row=None)


def drawn_like(b: Builder, input: Any, *, law: NoiseLaw, **_: Any) -> PlacedNode:
    """Noise with the shape of a value."""
    x = b.tensor(input)
    return PlacedNode(b.noise("", axes_of(x.dims), law, "noise"), x.dims)


def drawn(b: Builder, *sizes: Any, law: NoiseLaw, size: Any = None, **_: Any) -> PlacedNode:
    """Noise of a shape."""
    return drawn_like(b, filled(b, *(sizes or (size,)), value=1.0), law=law)


def normal(b: Builder, mean: Any, std: Any = 1.0, size: Any = None, **_: Any) -> PlacedNode:
    """mean + std · noise; no gradient goes through them, as torch has it."""
    given = [each for each in (mean, std) if isinstance(each, (PlacedNode, Held))]
    if not given and size is None:
        raise ConversionError("it draws one number")
    like = b.tensor(given[0]) if given else filled(b, size, value=1.0)
    fixed = [detached(b, e) if isinstance(e, PlacedNode) else e for e in (mean, std)]
    x, y, z = (symbol(at) for at in range(3))
    return mapped(b, x + y * z, (*fixed, drawn_like(b, like, law=NormalNoise())))


def bernoulli(b: Builder, input: Any, p: Any = None, **_: Any) -> PlacedNode:
    """1 with the probability that a value is, or a number, else 0; it has no slope."""
    noise = drawn_like(b, input, law=UniformNoise())
    return chosen(b, Compared("lt", noise, b.tensor(input) if p is None else p))
