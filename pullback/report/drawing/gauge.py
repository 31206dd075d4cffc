"""A gauge: where one number stands between calm and alarm, on a log scale."""

from __future__ import annotations

import math
from html import escape

from pullback.report.words.numbers import times

ZONES = (("seeds start alike", 2.0), ("seeds differ", 10.0), ("a lottery", 100.0))
_WIDTH, _TRACK, _HEIGHT = 640, 12, 74


def gauge(factor: float, alt: str) -> str:
    """How far below the median one seed in ten starts, as an SVG: 1× at the left, 100× and more
    at the right."""
    end = math.log(ZONES[-1][1])

    def at(value: float) -> float:
        return _WIDTH * min(max(math.log(max(value, 1.0)) / end, 0.0), 1.0)

    parts, left = [], 0.0
    for number, (name, upper) in enumerate(ZONES):
        right = at(upper)
        parts.append(
            f'<rect class="zone zone-{number}" x="{left:.1f}" y="28" '
            f'width="{right - left:.1f}" height="{_TRACK}"/>'
            f'<text x="{(left + right) / 2:.1f}" y="56">{escape(name)}</text>'
        )
        parts.append(f'<text class="tick" x="{right:.1f}" y="72">{upper:g}×</text>')
        left = right
    x = at(factor)
    side = "start" if x < 60 else "end" if x > _WIDTH - 60 else "middle"
    parts.append(
        f'<path class="hand" d="M{x:.1f} 30 l-6 -10 h12 z"/>'
        f'<text class="value {side}" x="{x:.1f}" y="14">{times(factor)}</text>'
    )
    parts.append('<text class="tick" x="0" y="72">1×</text>')
    return (
        f'<svg class="gauge" viewBox="-14 0 {_WIDTH + 28} {_HEIGHT}" role="img" '
        f'aria-label="{escape(alt)}">{"".join(parts)}</svg>'
    )
