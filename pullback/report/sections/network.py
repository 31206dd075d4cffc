"""The section about the network itself: how it is built, and how δ comes back through it."""

from __future__ import annotations

import numpy as np

from pullback.report.drawing.network_svg import DrawingScale, draw
from pullback.report.drawing.sample_path import passage
from pullback.report.drawing.tables import scrolled, table
from pullback.report.sections.outcome import hardest
from pullback.report.sections.section import Choice, Item, Picture, Section
from pullback.report.sections.story import TRACED, Story
from pullback.report.words import verdicts
from pullback.report.words.numbers import percent, units


def network(story: Story) -> Section:
    """The drawing before and after training, one row a layer, one sample on its way."""
    if not story.layers:
        why = (
            f"{story.net.model!r} has no equation z with a δ of its own: there is no layer to draw."
        )
        return Section(
            "network", "The network", why, "exact", "The derivation holds all the same.", ()
        )
    layers, norms = story.layers, story.norms
    traced = min(TRACED, len(story.train[1]))
    method = (
        "The size of δ is ‖δ‖, the length of the error vector of one sample: its root mean square "
        f"over {traced:,} training samples. The forecast below counts the same. A size per unit "
        "would seem to shrink wherever a layer is wider, because more units share one error; the "
        "length does not, and it is what moves the weights: ‖∂ℓ/∂W‖ = ‖δ‖ ‖a‖."
    )
    caption = (
        "Values go forward to the right; δ comes back to the left, a wider arrow means a larger "
        "‖δ‖. A line is a weight after training, as thick as it is large, dashed where it is "
        "negative. Under each layer stand its activation and, dashed, the slope by which δ is "
        "multiplied."
    )
    if story.flow:
        before = {name: values[0] for name, values in story.flow.items()}
        scale = DrawingScale.of([*before.values(), *norms.values()])
        drawings = {"before training": before, "after training": norms}
        weights = {"before training": {}, "after training": story.params}
        parts = {
            when: scrolled(draw(layers, sizes, scale, weights[when]), f"The network {when}")
            for when, sizes in drawings.items()
        }
        picture: Item = Choice("drawing", "The network", parts)
        verdict = verdicts.network(layers, before, "before training", story.diverged)
    else:
        picture = scrolled(draw(layers, norms, params=story.params), "The network")
        verdict = verdicts.network(layers, norms, "with these parameters")
    way = Picture(
        "passage",
        passage(story, hardest(story.outcome)),
        "One sample on its way, the one that the network is most wrong about: a cell has colour "
        "where it is positive and is grey where negative, the deeper the larger. At the right the "
        "error is born as the difference between what is said and what is wanted; at each step "
        "back it is spread out by the weights and weakened by the slopes.",
    )
    items = (picture, f"<p class='caption'>{caption}</p>", _layer_table(story), way)
    return Section("network", "The network", verdict, "measured", method, items)


def _layer_table(story: Story) -> str:
    trace, norms = story.trace, story.norms
    layers = list(story.layers)
    out = [trace.value(each.outlet) for each in layers]
    idle = [float(np.mean(np.all(trace.delta[each.path] == 0, axis=0))) for each in layers]
    before = {"‖δ‖ before": [story.flow[e.path][0] for e in layers]} if story.flow else {}
    return table(
        {
            "layer": [f"{at}. {each.z}" for at, each in enumerate(layers, 1)],
            "activation": [each.activation or "none" for each in layers],
            "units": [each.width for each in layers]
            if all(len(each.sizes) < 2 for each in layers)
            else [units(each.sizes) for each in layers],
            "parameters": [each.parameters for each in layers],
            "RMS of output": [
                float(np.sqrt(np.mean(np.square(value, dtype=np.float64)))) for value in out
            ],
            **before,
            "‖δ‖ after" if before else "‖δ‖": [norms[each.path] for each in layers],
            "idle units": [percent(share) for share in idle],
        },
        "Layers",
    )
