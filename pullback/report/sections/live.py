"""The section to try the network in: its program in JavaScript, and samples to start from."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.derive.formula.latex import css_name
from pullback.emit import lower
from pullback.emit.target import javascript
from pullback.emit.target.language import Task
from pullback.nn import Loss
from pullback.report.assets import script_json, template
from pullback.report.drawing.picture import grid
from pullback.report.layers import layers_of
from pullback.report.sections.outcome import Classified, hardest
from pullback.report.sections.samples import Array
from pullback.report.sections.section import Section
from pullback.report.sections.story import Story

MOST_PARAMETERS = 100_000  # a page of at most 3 MB
MOST_COLUMNS, MOST_PIXELS, MOST_OUTPUTS = 40, 32 * 32, 12
SAMPLES = 12  # to start from
LINKS: dict[str, Callable[[Array], Array]] = {
    "identity": lambda z: z,
    "softmax": lambda z: np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True),
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "exp": np.exp,
}


@dataclass(frozen=True)
class Live:
    """A module whose function ``trace`` runs the network, and what its page needs beside it."""

    module: str
    facts: dict[str, Any]


def live_of(story: Story) -> Live | str:
    """The network as it runs in a page, or the reason why it does not."""
    if (why := _unsuited(story)) is not None:
        return why
    net, found = story.net.eval(), story.outcome
    columns = layers_of(net, story.train[0])
    layers = [
        {
            "symbol": layer.out,
            "css": css_name(str(layer.outlet)),
            "values": f"value.{at}",
            "grid": _grid(story.trace.value(layer.outlet)[0]),
            "deltaSymbol": layer.delta,
            "deltaCss": css_name(str(layer.label.delta)),
            "delta": f"delta.{at}",
            "deltaGrid": _grid(story.trace.delta[layer.path][0]),
        }
        for at, layer in enumerate(columns)
    ]
    named = net.equations
    roots = {"loss": net.total, "output": net.output}
    for at, layer in enumerate(columns):
        roots[f"value.{at}"] = named[str(layer.outlet)]
        roots[f"delta.{at}"] = named[str(layer.label.delta)]
    program = lower(roots, javascript.RESERVED, net.leaves)
    keys = {key: key for key in roots if key != "loss"}
    task = Task("trace", "The loss of samples, and all on the way.", program, keys, "loss")
    X = story.shown[0]
    assert not isinstance(X, dict)
    flat = X.reshape(len(X), -1).astype(float)
    chosen = _chosen(story)
    classes = list(found.names) if isinstance(found, Classified) else None
    facts: dict[str, Any] = {
        "layers": layers,
        "input": {"symbol": story.layers.sources[0].symbol, "css": css_name(net.x.name)},
        "picture": story.image_shape,
        "columns": None if story.image_shape else list(_columns(story, flat)),
        "top": float(flat.max()),
        "floor": float(flat.min()),
        "box": _box(flat.reshape(-1, *story.image_shape)) if story.image_shape else None,
        "samples": [[round(v, 5) for v in flat[at].tolist()] for at in chosen],
        "wanted": [_wanted(story, at) for at in chosen],
        "classes": classes,
        "signs": net.criterion.target == "signs",
        "outputs": math.prod(story.trace.delta[story.layers.layers[-1].path].shape[1:]),
        "targets": math.prod(axis.size or 1 for axis in net.target.axes[1:]),
        "link": _link(net.criterion),
        "params": {name: _packed(value) for name, value in story.params.items()},
    }
    return Live(javascript.emit([task], [repr(net)]).replace("</", "<\\/"), facts)


def live(found: Live | str) -> Section:
    """Draw a digit or move sliders, choose a label, and see every value and every δ."""
    name, title = "live", "Try it"
    if isinstance(found, str):
        return Section(name, title, f"This network does not run in the page: {found}.",
                       "exact", "Everything else on the page holds all the same.", ())  # fmt: skip
    what = "Draw" if found.facts["picture"] else "Move the sliders"
    verdict = f"{what}: the network answers at once. Choose what is wanted: δ flows back."
    noscript = "<noscript><p>This needs JavaScript.</p></noscript>"
    return Section(
        name,
        title,
        verdict,
        "exact",
        "The network itself, with the trained weights: its program is emitted as JavaScript from "
        "the equations below, and equals the one that was trained. Nothing leaves the page.",
        (f'<div id="try" style="{_room(found)}">{noscript}</div>',),
        f"{found.module}\nconst LIVE = {script_json(found.facts)};\n{template('live.js')}",
    )


def _room(found: Live) -> str:
    """How many lines there will be, so that nothing moves when the page fills them."""
    columns, classes = found.facts["columns"], found.facts["classes"]
    rows = len(classes) if classes is not None else found.facts["outputs"]
    return f"--rows: {rows}; --columns: {11 if columns is None else len(columns)}"


def _unsuited(story: Story) -> str | None:
    """Why a network is not for a page, if it is not."""
    net, found = story.net, story.outcome
    X = story.shown[0]
    if not story.layers:
        return "it has no layers to show"
    if isinstance(X, dict) or len(net.xs) != 1 or net.x.whole:
        return "its input is not one array of numbers"
    if net.noise and not net.two_modes:
        return "it draws noise"
    count = sum(value.size for value in story.params.values())
    if count > MOST_PARAMETERS:
        return f"it has {count:,} parameters; a page holds {MOST_PARAMETERS:,}"
    size = math.prod(X.shape[1:])
    if story.image_shape is not None:
        if size != math.prod(story.image_shape):
            return "its pictures have more than one channel"
        if size > MOST_PIXELS:
            return f"its pictures have {size:,} pixels; the page draws up to {MOST_PIXELS:,}"
    elif size > MOST_COLUMNS:
        return f"a sample has {size:,} numbers; the page has sliders for up to {MOST_COLUMNS}"
    outputs = math.prod(story.outcome.wanted.shape[1:]) if not isinstance(found, Classified) else 1
    if (isinstance(found, Classified) and found.places > 1) or outputs > MOST_OUTPUTS:
        return "it says more of each sample than the page has room for"
    return None


def _grid(values: Array) -> list[int]:
    return list(grid(values).shape)


def _columns(story: Story, flat: Array) -> Iterator[dict[str, Any]]:
    """A slider for each column: its name and the range of the data."""
    for at, column in enumerate(flat.T):
        name = story.features[at] if at < len(story.features) else f"x{at + 1}"
        low, high = float(column.min()), float(column.max())
        yield {"name": name, "low": low, "high": max(high, low + 1e-9)}


def _box(pictures: Array) -> list[float]:
    """Where the ink of pictures lies on average: top, bottom, left, right, as shares."""
    inked = pictures > pictures.min() + 0.25 * (pictures.max() - pictures.min())
    ends = []
    for axis, size in ((2, pictures.shape[1]), (1, pictures.shape[2])):
        lines = inked.any(axis=axis)
        lines = lines[lines.any(axis=1)]
        if not len(lines):
            return [0.0, 1.0, 0.0, 1.0]
        first, last = lines.argmax(axis=1), size - lines[:, ::-1].argmax(axis=1)
        ends += [float(first.mean() / size), float(last.mean() / size)]
    return ends


def _chosen(story: Story) -> list[int]:
    """The hardest sample, one hit of each class or some others, each once."""
    found = story.outcome
    some: Sequence[int] = range(len(story.shown[1]))
    if isinstance(found, Classified):
        hits = (np.flatnonzero(found.right & (found.wanted == k)) for k in range(len(found.names)))
        some = [int(each[0]) for each in hits if len(each)]
    return list(dict.fromkeys([hardest(found), *some]))[:SAMPLES]


def _wanted(story: Story, at: int) -> Any:
    found = story.outcome
    if isinstance(found, Classified):
        return int(found.wanted[at])
    return [float(v) for v in found.wanted[at]]


def _link(criterion: Loss) -> str:
    """What makes the outputs what the loss takes them for."""
    probe = np.array([[0.3, -1.2, 2.0], [-0.4, 0.1, 0.2]])
    said = criterion.estimate(probe)
    fits = (
        name
        for name, link in LINKS.items()
        if said.shape == probe.shape and np.allclose(said, link(probe))
    )
    return next(fits, "identity")


def _packed(value: Any) -> str:
    """The numbers of an array in single precision, as text."""
    return base64.b64encode(np.asarray(value, "<f4").tobytes()).decode()
