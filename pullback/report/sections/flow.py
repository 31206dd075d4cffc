"""The section about δ over time, with what moves the weights and which units are dead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pullback.report.drawing.figures import Figure, curves, layer_map, layer_series
from pullback.report.sections.outlook import OutlookStory
from pullback.report.sections.section import Section
from pullback.report.sections.story import TRACED, Story
from pullback.report.words import verdicts
from pullback.report.words.numbers import percent, short

_MOST_LINES = 6  # more layers than this are drawn as a map


def flow(story: Story) -> Section:
    """δ, update/weight ratio and dead units by layer and epoch."""
    return Section(
        "flow",
        "The error over time",
        verdicts.flow(story.flow, story.layers, story.diverged),
        "measured",
        "‖δ‖ is the length of δ of one sample, its root mean square over the same "
        f"{min(TRACED, len(story.train[1])):,} training samples each time. A unit is dead if its "
        "δ is 0 at all of them. The update is ‖change of W over the epoch‖ / ‖W‖.",
        tuple(_figures(story)),
    )


def _figures(story: Story) -> Iterator[Figure]:
    assert story.watched is not None
    paths = [layer.path for layer in story.layers]
    names = [layer.delta for layer in story.layers]
    yield _delta(story, names, [story.flow[path] for path in paths])
    dead = [story.watched.dead[path] for path in paths]
    any_dead = any(max(shares) > 0 for shares in dead)
    moved = [layer for layer in story.layers if layer.path in story.watched.update]
    if moved:
        weights = [layer.weight for layer in moved]
        update = [story.watched.update[layer.path] for layer in moved]
        caption = (
            "How far each weight matrix goes in an epoch, as a share of its own size. Layers that "
            "are far below the others hardly learn."
        )
        if not any_dead:
            caption += " No unit is dead at any time."
        alt = f"Update over weight at the end: {_ends(weights, update)}."
        yield _by_layer("update", weights, update, "‖ΔW‖ / ‖W‖", caption, alt, first_epoch=1)
    if any_dead:
        caption = "The share of each layer's units that are dead: no sample reaches them."
        ends = ", ".join(f"{n} {percent(v[-1])}" for n, v in zip(names, dead, strict=True))
        alt = f"Dead units at the end: {ends}."
        yield _by_layer("dead", names, dead, "dead units", caption, alt, log=False)


def _delta(story: Story, names: Sequence[str], values: Sequence[Sequence[float]]) -> Figure:
    caption = "‖δ‖ at each layer, before training (epoch 0) and after each epoch."
    alt = f"‖δ‖ at the end: {_ends(names, values)}."
    forecast: list[float | None] = []
    if isinstance(story.outlook, OutlookStory):
        held = [each for each in story.outlook.forecast.layers if len(each.delta_ms)]
        sizes = {each.name: float(each.rms) * each.n_out**0.5 for each in held}
        forecast = [sizes.get(layer.path) for layer in story.layers]
        many = len(names) > _MOST_LINES
        mark = "The first column is" if many else "The diamonds at epoch 0 are"
        caption += f" {mark} the forecast, a mean over all initialisations."
    return _by_layer("flow", names, values, "‖δ‖", caption, alt, forecast=forecast)


def _by_layer(
    name: str,
    layers: Sequence[str],
    values: Sequence[Sequence[float]],
    what: str,
    caption: str,
    alt: str,
    first_epoch: int = 0,
    log: bool = True,
    forecast: Sequence[float | None] = (),
) -> Figure:
    """Lines for a few layers, a map for many."""
    if len(layers) > _MOST_LINES:
        caption += " The deeper the colour, the larger the value."
        return layer_map(name, layers, values, what, caption, alt, first_epoch, log, forecast)
    form = ".3~g" if log else ".1%"
    lines = layer_series(layers, values)
    return curves(name, lines, what, caption, alt, first_epoch, log, form, forecast)


def _ends(names: Sequence[str], values: Sequence[Sequence[float]]) -> str:
    return ", ".join(f"{n} {short(v[-1])}" for n, v in zip(names, values, strict=True))
