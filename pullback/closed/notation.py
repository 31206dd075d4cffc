"""A product of Jacobians in print, transposed: δ on the left comes from δ on the right."""

from __future__ import annotations

from collections.abc import Sequence

from pullback.closed.network.items import (
    Item,
    LocalItem,
    ScaleItem,
    SkipItem,
    SlopeItem,
    WeightItem,
    below,
)
from pullback.closed.network.items import latex as latex_label
from pullback.closed.network.items import plain as plain_label
from pullback.ir.normal.stable import textbook

LONGEST = 10  # factors that are written out


def plain(items: Sequence[Item]) -> str:
    """The product as plain text: diag f′(z₁) W₂ᵀ diag f′(z₂) W₃ᵀ."""
    words = [_plain(item) for item in items if not _is_one(item)]
    return " ".join(_shortened(words, "…"))


def latex(items: Sequence[Item]) -> str:
    """The product as LaTeX."""
    words = [_latex(item) for item in items if not _is_one(item)]
    return r"\, ".join(_shortened(words, r"\cdots"))


def derivative(item: SlopeItem) -> str:
    """f' of an item as plain text in z, as a textbook has it."""
    return str(textbook(item.function.partial(0).expr)).replace("x0", "z")


def _is_one(item: Item) -> bool:
    match item:
        case ScaleItem(factor=factor):
            return factor == 1
        case SlopeItem(slope=slope):
            return slope == 1
    return False


def _number(value: float) -> str:
    return f"({value:g})" if value < 0 else f"{value:g}"


def _shortened(words: list[str], dots: str) -> list[str]:
    if len(words) <= LONGEST:
        return words
    return [*words[: LONGEST - 3], dots, *words[-2:]]


def _plain(item: Item) -> str:
    match item:
        case WeightItem(layer=layer):
            return f"W{below(layer + 1)}ᵀ"
        case SlopeItem(slope=slope):
            return f"diag f′({plain_label(item.label)})" if slope is None else _number(slope)
        case ScaleItem(factor=factor):
            return _number(factor)
        case SkipItem(items=inner):
            return f"(I + {plain(inner)})"
        case LocalItem(name=name):
            return f"({name})ᵀ"
    raise TypeError(f"{item!r} is no item")


def _latex(item: Item) -> str:
    match item:
        case WeightItem(layer=layer):
            return rf"W_{{{layer + 1}}}^{{\top}}"
        case SlopeItem(slope=slope):
            whole = rf"\operatorname{{diag}} f'\left({latex_label(item.label)}\right)"
            return whole if slope is None else _number(slope)
        case ScaleItem(factor=factor):
            return _number(factor)
        case SkipItem(items=inner):
            return rf"\left(I + {latex(inner)}\right)"
        case LocalItem(latex=fraction):
            return rf"\left({fraction}\right)^{{\top}}"
    raise TypeError(f"{item!r} is no item")
