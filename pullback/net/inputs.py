"""What goes into a network: named axes from text, for one input or several."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import chain
from math import prod
from typing import Any

from pullback.errors import ConfigError, shown
from pullback.ir import Axes, Axis, Input
from pullback.ir.axis import show

BATCH = Axis("batch")
TAKEN = ("target", "sample_weight")
RESERVED = (*TAKEN, "output", "loss")  # what programs read and give by these keys
_AXIS = re.compile(r"([^\W\d]\w*)(?:=([0-9]{1,9}(?:x[0-9]{1,9})*))?")
_SIZE = re.compile(r"=([0-9x]+)")
_WHOLE = ":index"

Inputs = dict[str, Input]


def are_batches(X: Any, Y: Any) -> bool:
    """Is X an iterable of batches (x, y), or a function that makes one, and no array?"""
    found = callable(X) or (isinstance(X, Iterable) and not isinstance(X, Mapping))
    return Y is None and found and not hasattr(X, "__array__")


def free(axes: Axes) -> Axes:
    """The axes of one sample, of those of a batch, which may stand there twice."""
    return tuple(axis for axis in axes if axis.unprimed != BATCH)


def declared_inputs(x: object) -> Inputs:
    """The inputs that a text declares: the axes after the batch, with their sizes if known.

    ``:index`` behind them says that the input holds whole numbers. Several inputs are a dict.
    ``features=1x8x8`` is one axis of 64, which data may also have as (batch, 1, 8, 8).
    Raises ConfigError for what is no list of axes, or a name that is taken.

    >>> declared_inputs("channels=1 height=8")["x"].axes
    (batch, channels=1, height=8)
    >>> declared_inputs({"words": "tokens:index", "image": "height width"})["words"].whole
    True
    """
    if isinstance(x, str):
        return {"x": _declared("x", x)}
    if not isinstance(x, Mapping) or not x:
        raise ConfigError(
            f"x is {shown(x)}; expected the axes after the batch, as 'channels=1 height=8', or a "
            "dict of such texts by the name of the input"
        )
    for name in x:
        if not isinstance(name, str) or not name or name in TAKEN:
            raise ConfigError(f"an input is called {shown(name)}; expected another name, as 'x'")
    found = {name: _declared(name, axes) for name, axes in x.items()}
    sizes: dict[str, Axis] = {}
    for axis in chain.from_iterable(each.axes for each in found.values()):
        if sizes.setdefault(axis.name, axis) != axis:
            raise ConfigError(
                f"x: the axis {axis.name!r} is {show((sizes[axis.name],))} and {show((axis,))}; "
                "an axis has one size"
            )
    return found


def shapes(x: str | Mapping[str, str]) -> dict[str, tuple[int, ...]]:
    """The shape of a sample of each input, apart, in which an axis is declared by several sizes.

    >>> shapes("features=1x8x8"), shapes("channels=1 height=8")
    ({'x': (1, 8, 8)}, {})
    """
    texts = {"x": x} if isinstance(x, str) else x
    every = {name: _SIZE.findall(text) for name, text in texts.items()}
    return {n: _sizes("x".join(each)) for n, each in every.items() if any("x" in e for e in each)}


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split("x")))


def _declared(name: str, text: object) -> Input:
    if not isinstance(text, str):
        raise ConfigError(f"the axes of {name} are {shown(text)}; expected a text, as 'features=8'")
    whole = text.endswith(_WHOLE)
    axes: list[Axis] = []
    for word in text.removesuffix(_WHOLE).split():
        match = _AXIS.fullmatch(word)
        size = prod(_sizes(match[2])) if match and match[2] else None
        if match is None or size == 0:
            raise ConfigError(
                f"the axes of {name}: {shown(word)} is no axis; expected a name with or without "
                "its size, as 'height=28'"
            )
        axes.append(Axis(match[1], size))
    names = [BATCH.name, *(axis.name for axis in axes)]
    if twice := next((each for each in names if names.count(each) > 1), None):
        raise ConfigError(
            f"the axes of {name}: {twice!r} stands there twice; the batch comes first"
        )
    return Input(name, (BATCH, *axes), whole)
