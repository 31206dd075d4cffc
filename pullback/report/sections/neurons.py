"""The section about single neurons: the dynamic programme of a small network, to point at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.derive import Text, derive
from pullback.derive.neurons.table import NOTE, Entry, Neurons
from pullback.errors import PullbackError
from pullback.interop.measured import Measured
from pullback.net.network import Network
from pullback.nn import Block, Elementwise, Linear, Sequential
from pullback.nn.init import Scheme
from pullback.report.drawing.figures import to_csv
from pullback.report.drawing.neuron_svg import draw
from pullback.report.drawing.tables import scrolled, table
from pullback.report.sections.neuron_cards import cards, hints_of
from pullback.report.sections.section import Item, Picture, Section
from pullback.report.words.numbers import short

TALLEST, MOST_EDGES = 6, 48  # more neurons in a column, or weights, cannot be told apart
MINIATURE, DEEPEST = 2, 3  # units of a layer, and layers, of the stand-in


@dataclass(frozen=True)
class Shown:
    """The programme of one sample, filled; ``miniature`` if of a smaller network, ``why``."""

    neurons: Neurons
    activations: tuple[str, ...]
    miniature: str = ""
    why: str = ""


def neurons_of(
    net: Network, params: Mapping[str, Any], x: Any, y: Any, scheme: Scheme | None, seed: int
) -> Shown | str:
    """The programme of the network, or of one in miniature; or the reason why there is none."""
    model = _stack(net.model)
    if model is None:
        kind = type(net.model).__name__
        return f"{kind} is not a stack of Linear blocks with activations behind them"
    linear = [each for each in model if isinstance(each, Linear)]
    edges = sum(each.in_features * each.out_features for each in linear)
    widest = max(max(each.in_features, each.out_features) for each in linear)
    try:
        if widest <= TALLEST and edges <= MOST_EDGES:
            return Shown(derive(net).neurons(params, x, y), _labels(model))
        small, count = _miniature(model)
        tiny = Network(Sequential(*small), loss=net.criterion)
        # what was measured layer by layer says nothing of other layers
        held = tiny.init(seed, None if isinstance(scheme, Measured) else scheme)
        sample, target = _sample(tiny)
        found = derive(tiny).neurons(held, sample, target)
    except PullbackError as error:
        return str(error).rstrip(".")
    why = (
        f"This network has {edges:,} weights in layers of up to {widest} units: from "
        f"{TALLEST + 1} units in a layer or {MOST_EDGES + 1} weights on, nobody could follow it."
    )
    return Shown(found, _labels(small), f"{count}, at initialisation, on a made-up sample", why)


def neurons(shown: Shown | str) -> Section:
    """The drawing with a card for each node, and the whole table in filling order."""
    title, name = "Neuron by neuron", "neurons"
    method = (
        f"{NOTE} It is the same dynamic programme as the matrix form above, cell by cell, and "
        "gives the same gradients."
    )
    if isinstance(shown, str):
        why = f"The graph of single neurons is not drawn: {shown}."
        return Section(name, title, why, "exact", "The derivation above holds all the same.", ())
    entries = shown.neurons.entries
    cells = f"{len(entries)} cells, each filled once from cells that are filled already"
    told = f"Every gradient of one sample takes {cells}."
    if shown.why:
        told = f"{shown.why} Here is the same in miniature, {shown.miniature}."
    caption = (
        "Point at a node, or reach it by Tab: its formulas stand below with their numbers, and its "
        "edges light up. Blue comes in from the left; vermilion goes back, as the neuron's v."
    )
    graph = scrolled(draw(shown.neurons.graph), "The graph of neurons")
    held = "".join(cards(shown.neurons, shown.activations))
    html = f'<div class="programme">{graph}<div class="cards" aria-live="polite">{held}</div></div>'
    items: tuple[Item, ...] = (
        Picture(name, html, caption, _csv(entries)),
        "<details><summary>Every cell, in the order in which they are filled</summary>"
        f"{_all(shown.neurons)}</details>",
    )
    return Section(name, title, told, "exact", method, items)


def hints(shown: Shown | str) -> dict[str, dict[str, str]]:
    """What the page shows over a symbol of the graph, by its class."""
    return {} if isinstance(shown, str) else hints_of(shown.neurons)


def _stack(model: Block) -> list[Block] | None:
    """The blocks one after another, or None if some stand in something else."""
    if not isinstance(model, Sequential):
        return [model] if isinstance(model, Linear) else None
    found: list[Block] = []
    for block in model.blocks:
        part = [block] if isinstance(block, Elementwise) else _stack(block)
        if part is None:
            return None
        found += part
    return found if any(isinstance(block, Linear) for block in found) else None


def _labels(model: list[Block]) -> tuple[str, ...]:
    """What stands behind each Linear block."""
    found: list[list[str]] = []
    for block in model:
        if isinstance(block, Linear):
            found.append([])
        elif found:
            found[-1].append(repr(block).removesuffix("()"))
    return tuple(", then ".join(each) or "the identity" for each in found)


def _miniature(model: list[Block]) -> tuple[list[Block], str]:
    """The first and the last layers with at most two units each, and its widths in words."""
    parts: list[list[Block]] = []
    for block in model:
        # what stands before the first Linear belongs to its part
        if not parts or (isinstance(block, Linear) and _has_linear(parts[-1])):
            parts.append([])
        parts[-1].append(block)
    kept = parts if len(parts) <= DEEPEST else [*parts[: DEEPEST - 1], parts[-1]]
    small: list[Block] = []
    widths = [min(_linear(kept[0]).in_features, MINIATURE)]
    for part in kept:
        widths.append(min(_linear(part).out_features, MINIATURE))
        bias = _linear(part).bias
        narrow = Linear(widths[-2], widths[-1], bias=bias)
        small += [narrow if isinstance(block, Linear) else block for block in part]
    told = "–".join(map(str, widths))
    return small, told if len(kept) == len(parts) else f"{told} ({len(kept)} of its layers)"


def _linear(part: list[Block]) -> Linear:
    return next(block for block in part if isinstance(block, Linear))


def _has_linear(part: list[Block]) -> bool:
    return any(isinstance(block, Linear) for block in part)


def _sample(net: Network) -> tuple[Any, Any]:
    """A sample with something to learn: small inputs, the first class or value 1."""
    features, outputs = net.x.axes[-1].size or 1, net.output.axes[-1].size or 1
    x = np.array([0.8, -0.4])[:features]
    kind = net.criterion.target
    if kind == "signs":
        return x, np.where(np.arange(outputs) == 0, 1.0, -1.0)
    return x, np.eye(outputs)[0]


def _csv(entries: Sequence[Entry]) -> str:
    text = Text()
    rows = ((e.where, text(e.name), text(e.formula), f"{e.value:.8g}") for e in entries)
    return to_csv(["where", "name", "formula", "value"], rows)


def _all(found: Neurons) -> str:
    text = Text()
    return table(
        {
            "where": [e.where for e in found.entries],
            "cell": [text(e.name) for e in found.entries],
            "formula": [text(e.formula) for e in found.entries],
            "value": [short(e.value) for e in found.entries],
        },
        "Every cell",
    )
