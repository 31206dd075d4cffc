"""Samples with what the network says about them: some hits, and the mistakes it is surest of."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

import numpy as np

from pullback.report.drawing.figures import to_csv
from pullback.report.drawing.picture import image
from pullback.report.drawing.tables import table
from pullback.report.sections.outcome import Classified
from pullback.report.sections.samples import Array
from pullback.report.sections.story import Story
from pullback.report.words.numbers import percent

MOST_WRONG = 16
MOST_RIGHT = 10


def worst(found: Classified) -> Array:
    """The mistakes, the surest first."""
    wrong = np.flatnonzero(~found.right)
    return wrong[np.argsort(-found.sureness[wrong], kind="stable")]


def gallery(story: Story, found: Classified) -> str:
    """Pictures of samples: mistakes first, then one hit of each class."""
    wrong = worst(found)[:MOST_WRONG]
    firsts = [np.flatnonzero(found.right & (found.wanted == k)) for k in range(len(found.names))]
    right = [int(each[0]) for each in firsts if len(each)][:MOST_RIGHT]
    html = ""
    if len(wrong):
        html += f"<h3>Mistakes, the surest first</h3>{_samples(story, found, wrong)}"
    return html + f"<h3>Hits, one of each class</h3>{_samples(story, found, right)}"


def worst_table(found: Classified) -> str:
    """The mistakes as a table, for data that are no pictures."""
    rows = worst(found)[:MOST_WRONG]
    if not len(rows):
        return ""
    return table(
        {
            "sample": [f"{at:,}" for at in rows],
            "wanted": [found.names[found.wanted[at]] for at in rows],
            "predicted": [found.names[found.said[at]] for at in rows],
            "sure by": [percent(float(found.sureness[at])) for at in rows],
        },
        "Mistakes, the surest first",
    )


def predictions_csv(found: Classified) -> str:
    """Every prediction as CSV."""
    rows = zip(found.wanted, found.said, found.sureness, strict=True)
    return to_csv(
        ["sample", "wanted", "predicted", "probability"],
        ((at, found.names[w], found.names[s], f"{p:.6g}") for at, (w, s, p) in enumerate(rows)),
    )


def _samples(story: Story, found: Classified, places: Iterable[int]) -> str:
    return f'<ul class="samples">{"".join(_sample(story, found, at) for at in places)}</ul>'


def _sample(story: Story, found: Classified, at: int) -> str:
    wanted, said = found.names[found.wanted[at]], found.names[found.said[at]]
    X = story.shown[0]
    assert not isinstance(X, dict)  # pictures are of the only input
    cells = story.cells(story.net.x.name, X[at])
    picture = image(cells, "data", f"sample {at}: {wanted}, predicted {said}", 64)
    sure = percent(float(found.sureness[at]))
    if found.right[at]:
        text = f"<b>{escape(said)}</b> ✓"
    else:
        text = f'<b class="wrong">{escape(said)}</b> ✗ <span>is {escape(wanted)}</span>'
    return f"<li>{picture}<p>{text}</p><small>{sure}</small></li>"
