"""A plan's brackets as an SVG: left is the input, right the loss; each dot is one product."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from pullback.plan.chain.piece import Piece
from pullback.plan.chain.plan import Plan
from pullback.report.words.numbers import short

STEP, BOX, TOP, LEVEL, SIDE = 96.0, 40.0, 50.0, 34.0, 70.0
MOST = 24  # factors; more would not be told apart


@dataclass(frozen=True)
class _Spot:
    """Where a part of the product stands."""

    x: float
    level: int


def draw(plan: Plan, names: dict[str, str]) -> str:
    """Factors above, and below them what is multiplied with what, one level a step."""
    drawing = _Drawing(plan, names)
    spot = drawing.add(plan.optimal)
    width = 2 * SIDE + STEP * (len(plan.links) - 1)
    height = TOP + BOX / 2 + LEVEL * spot.level + 16
    return (
        f'<svg class="brackets" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'height="{height:g}" role="img" aria-label="{escape(description(plan))}">'
        f"{''.join(drawing.parts)}</svg>"
    )


def description(plan: Plan) -> str:
    """The drawing in words."""
    steps = [f"{step.product} for {step.fma:,} fma" for step in plan.steps]
    return f"Factors from input to output; products in order: {'; '.join(steps) or 'none'}."


class _Drawing:
    def __init__(self, plan: Plan, names: dict[str, str]) -> None:
        self.parts: list[str] = []
        for at, link in enumerate(plan.links):
            x = _x(at)
            css = "diagonal" if link.form == "diagonal" else "dense"
            self.parts.append(
                f'<g class="{css}"><rect x="{x - BOX / 2:g}" y="{TOP - BOX / 2:g}" '
                f'width="{BOX:g}" height="{BOX:g}" rx="4"/>'
                + (_diagonal(x) if css == "diagonal" else "")
                + "<g>"
                + _text(x, 22, names.get(link.name, link.name), "symbol")
                + "</g>"
                + _text(x, TOP + 4, f"{link.rows}×{link.cols}", "size" if css == "dense" else "on")
                + "</g>"
            )

    def add(self, piece: Piece) -> _Spot:
        """The part with all that it is made of; later steps stand lower."""
        held = {at for part in piece.parts for at in range(part.first, part.last + 1)}
        alone = [at for at in range(piece.first, piece.last + 1) if at not in held]
        spots = [self.add(part) for part in piece.parts] + [_Spot(_x(at), 0) for at in alone]
        if len(spots) == 1 and not piece.parts:
            return spots[0]
        level = max(spot.level for spot in spots) + 1
        x = sum(spot.x for spot in spots) / len(spots)
        y = TOP + BOX / 2 + LEVEL * level
        for spot in spots:
            start = TOP + BOX / 2 + LEVEL * spot.level
            self.parts.append(f'<path d="M{spot.x:g} {start:g}V{y:g}H{x:g}"/>')
        if piece.how != "pair":
            css = _direction(piece)
            self.parts.append(f'<g><circle class="{css}" cx="{x:g}" cy="{y:g}" r="5"/></g>')
            label = f"{piece.rows}×{piece.cols}: {_fma(piece.own)}"
            if piece.how != "multiply":
                label = f"{piece.how} {label}"
            self.parts.append(_text(x, y - 8, label, "fma"))
        return _Spot(x, level)


def _x(at: int) -> float:
    """The middle of a factor, counted from the input."""
    return SIDE + STEP * at


def _direction(piece: Piece) -> str:
    """Whether a product takes one factor more on its way back, or on its way forward."""
    if len(piece.parts) != 2:
        return "backward" if piece.how == "adjoint" else "parameter"
    out, into = (bool(part.parts) for part in piece.parts)
    return "parameter" if out == into else "backward" if out else "forward"


def _diagonal(x: float) -> str:
    half = BOX / 2 - 5
    return f'<path class="stroke" d="M{x - half:g} {TOP - half:g}L{x + half:g} {TOP + half:g}"/>'


def _fma(number: int) -> str:
    return f"{number:,} fma" if number < 1e6 else f"{short(number)} fma"


def _text(x: float, y: float, text: str, css: str) -> str:
    return f'<text class="{css}" x="{x:g}" y="{y:g}">{escape(text)}</text>'
