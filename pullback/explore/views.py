"""What a page shows of a setup before training, as plain data for JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pullback.data.dataset import Array
from pullback.derive import EquationList, Text, derive
from pullback.derive.formula.latex import css_name
from pullback.derive.neurons.table import Neurons
from pullback.errors import ConfigError, whole
from pullback.explore.setup import LookedAt
from pullback.ir import Axis, Input, Named, Parameter
from pullback.report.drawing.depth import norm, shown
from pullback.report.drawing.network_svg import draw
from pullback.report.drawing.neuron_svg import draw as draw_neurons
from pullback.report.drawing.picture import image
from pullback.report.layers import layers_of, norms_of
from pullback.report.sections.derivation import diagrams_html, steps_html
from pullback.report.sections.neuron_cards import cards, hints_of, node_of
from pullback.report.sections.neurons import neurons_of
from pullback.report.sections.outlook import OutlookStory, beside, outlook
from pullback.report.words.numbers import collapsed, count, short
from pullback.report.words.verdicts import network as network_verdict

LOOKED_AT = 128  # samples that δ is measured on
PICTURES = 20  # digits that are shown


def network(work: LookedAt, choices: Mapping[str, Any]) -> dict[str, Any]:
    """The drawing with δ as it is before training, in words and numbers; and the data."""
    layers = layers_of(work.net)
    part = work.train[0][:LOOKED_AT], work.train[1][:LOOKED_AT]
    trace = work.net.trace(work.start, *part)
    norms = norms_of(work.net, layers, trace, len(part[0]))
    learn, held = len(work.train[0]), len(work.test[0])
    title = collapsed(work.widths) if work.given.net is None else Path(work.given.net).name
    return {
        "title": title,
        "heading": f"A {title} network" if work.given.net is None else title,
        "verdict": network_verdict(layers, norms, "before training"),
        "svg": draw(layers, norms),
        "parameters": count(work.parameters, "parameter"),
        "samples": f"{learn:,} samples to learn from, {held:,} to test with",
        "data": _pictured(work),
    }


def _pictured(work: LookedAt) -> dict[str, Any]:
    """Points of the plane, or pictures; of other data there is none."""
    if work.data.image_shape is not None and work.data.classes:
        return pictures(work)
    if work.plane:
        return points(work)
    what = f"{work.data.name}: {len(work.data.features):,} features, which no plane shows"
    return {"told": f"{what}; the target is {work.data.target}."}


def points(work: LookedAt) -> dict[str, Any]:
    """Two features of each sample to learn from, with its class."""
    X, Y = work.train[0], classes(work.train[1])
    return {
        "points": np.round(X.astype(float), 3).tolist(),
        "classes": Y.tolist(),
        "names": list(work.data.classes),
    }


def pictures(work: LookedAt) -> dict[str, Any]:
    """The first unseen digits, each with what it is."""
    assert work.data.image_shape is not None
    X, Y = work.test[0][:PICTURES], classes(work.test[1][:PICTURES])
    return {
        "images": [
            image(x.reshape(work.data.image_shape), "data", f"a handwritten {y}", 48)
            for x, y in zip(X, Y, strict=True)
        ],
        "classes": Y.tolist(),
        "names": list(work.data.classes),
    }


def classes(targets: Array) -> Array:
    """The class of each target: it is a number, a sign, or a row that is largest at the class."""
    if targets.ndim == 1:
        return targets.astype(int)
    if targets.shape[1] > 1:
        return np.asarray(targets.argmax(axis=1))
    return np.asarray((targets[:, 0] > 0.5).astype(int))


def derivation(work: LookedAt, choices: Mapping[str, Any]) -> dict[str, Any]:
    """The steps in the convention that is chosen, as HTML and as LaTeX, with its symbols."""
    found = derive(work.net, choices.get("convention") or "columns")
    listing = EquationList.of(work.net.equations.values())
    nodes: list[Input | Parameter | Named] = [work.net.x, work.net.target]
    nodes += [*work.net.parameters.values(), *(each.node for each in listing.equations)]
    return {
        "html": steps_html(found) + diagrams_html(found),
        "latex": found.latex(),
        "equations": count(len(found.lines), "equation"),
        "symbols": {
            css_name(node.name): {
                "symbol": Text()(listing.notation.symbols[node]),
                "shape": _shape(node.axes),
            }
            for node in nodes
            if node in listing.notation.symbols
        },
    }


def _shape(axes: tuple[Axis, ...]) -> str:
    return " × ".join(str(axis.size or "N") for axis in axes) or "one number"


def forecast(work: LookedAt, choices: Mapping[str, Any]) -> dict[str, Any]:
    """The verdict, ‖δ‖ by layer and method, and the phase diagram with the network on it."""
    layers = layers_of(work.net)
    part = work.train[0][:LOOKED_AT], work.train[1][:LOOKED_AT]
    found = outlook(work.net, layers, part, work.scheme, work.setup.seed, work.weights)
    if isinstance(found, str):
        return {"verdict": f"There is no forecast for this network: {found}.", "word": "unknown"}
    held = found.forecast
    names = {layer.path: layer.delta for layer in layers}
    methods = {m: [_plain(norm(layer, m)) for layer in held.layers] for m in shown(held)}
    bands = [layer.log_quantiles.get("finite_width") for layer in held.layers]
    values = {v.method: v for layer in held.layers for v in layer.delta_ms.values()}
    return {
        "verdict": f"{found.verdict} {beside(found)}".strip(),
        "word": held.verdict,
        "layers": [names.get(layer.name, layer.name) for layer in held.layers],
        "methods": methods,
        "measured": [_plain(found.measured.get(layer.name)) for layer in held.layers],
        "band": [[_plain(math.exp(float(q[at]) / 2)) for at in (0, 2)] for q in bands if q],
        "assumptions": [
            {"method": m.replace("_", " "), "kind": v.kind, "text": v.assumption}
            for m, v in values.items()
        ],
        "draws": held.draws,
        "phases": _phases(found),
    }


def _phases(found: OutlookStory) -> dict[str, Any] | None:
    """The map of ln χ₁, the critical line and the place of the network."""
    if found.phases is None:
        return None
    field, line, here = found.phases.data[:3]
    return {
        "sigma_w": _floats(field.x),
        "sigma_b": _floats(field.y),
        "chi": [[None if v is None else round(v, 3) for v in _floats(row)] for row in field.z],
        "line": {"x": _floats(line.x), "y": _floats(line.y)},
        "here": {"x": float(here.x[0]), "y": float(here.y[0])},
    }


def _floats(values: Any) -> list[float | None]:
    return [_plain(float(value)) for value in values]


def _plain(value: float | None) -> float | None:
    """The number, or None where JSON has none for it."""
    return float(value) if value is not None and math.isfinite(value) else None


def neurons(work: LookedAt, choices: Mapping[str, Any]) -> dict[str, Any]:
    """The graph of single neurons for one sample, and the order in which its cells are filled."""
    at = whole("sample", choices.get("sample") or 0, least=0)
    if at >= len(work.test[0]):
        raise ConfigError(f"sample is {at}; there are {len(work.test[0])}, counted from 0")
    x, y = work.test[0][at].astype(float), work.test[1][at]
    given = choices.get("params")
    params = work.start if given is None else _arrays(given)
    found = neurons_of(work.net.eval(), params, x, y, work.scheme, work.setup.seed)
    if isinstance(found, str):
        raise ConfigError(f"the graph of single neurons is not drawn: {found}")
    graph = found.neurons.graph
    wanted = short(float(y.ravel()[0]))
    if work.data.classes:
        wanted = f"class {work.data.classes[int(classes(work.test[1][at : at + 1])[0])]}"
    numbers = [short(v) for v in x.ravel()]
    inputs = ", ".join(numbers if len(numbers) < 9 else [*numbers[:6], "…"])
    return {
        "svg": draw_neurons(graph),
        "cards": list(cards(found.neurons, found.activations)),
        "hints": hints_of(found.neurons),
        "steps": _steps(found.neurons),
        "samples": len(work.test[0]),
        "told": f"{found.why} Here is a small network with the same structure, {found.miniature}."
        if found.why
        else f"Sample {at} is ({inputs}), wanted is {wanted}.",
        "miniature": bool(found.why),
    }


def _arrays(given: Any) -> dict[str, Array]:
    """Parameters as a page sends them; the network looks at their names and shapes."""
    try:
        return {str(name): np.asarray(value, float) for name, value in given.items()}
    except (AttributeError, TypeError, ValueError):
        raise ConfigError("params is no object of arrays of numbers by name") from None


def _steps(found: Neurons) -> list[dict[str, Any]]:
    """Each cell in filling order: its node, its class on the page, the edges it is made from."""
    seen: dict[str, int] = {}
    steps = []
    for entry in found.entries:
        node = node_of(entry, found)
        row = seen[node] = seen.get(node, -1) + 1
        symbol: Any = entry.name
        steps.append(
            {
                "node": node,
                "row": row,
                "kind": symbol.letter,
                "key": css_name(f"n-{symbol.letter}-{symbol.index}"),
                "edges": _edges(node, symbol.letter, symbol.index, found),
                "text": entry.text(),
                "where": f"edge w{symbol.index}" if symbol.letter == "g" else entry.where,
            }
        )
    return steps


def _edges(node: str, letter: str, index: str, found: Neurons) -> list[list[str]]:
    """The edges that a cell's formula reads: d those that come in, v those that go out, g its own.

    Each is a pair of nodes, from and to.
    """
    edges = found.graph.edges
    if letter == "d":
        used = [e for e in edges if e.target == node]
    elif letter == "v":
        used = [e for e in edges if e.source == node]
    elif letter == "g":
        used = [e for e in edges if e.number == int(index)]
    elif letter == "s":
        used = [e for e in found.graph.loss.incoming if e.source == index]
    elif letter == "e":
        used = list(found.graph.loss.incoming)
    else:
        used = []
    return [[e.source, e.target] for e in used]


VIEWS = {
    "network": network,
    "derivation": derivation,
    "forecast": forecast,
    "neurons": neurons,
}
