"""Dropout: entries, or whole channels, that are set to 0 at random while a model is trained."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pullback.errors import ConversionError
from pullback.interop.builder import Builder
from pullback.interop.values import PlacedNode, axes_of
from pullback.ir import Constant
from pullback.ir.build import multiply
from pullback.nn.noise import Bernoulli


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
