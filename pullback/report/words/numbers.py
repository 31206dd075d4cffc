"""Numbers as people read them: three significant digits, units, powers of ten."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, fields
from itertools import chain, groupby
from typing import Any

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_LOWERED = re.compile(r"\b([σδ])_(\w+)")
_SUBSCRIPT = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def short(value: float) -> str:
    """Three significant digits.

    >>> short(0.012345), short(1234.5), short(3.2e-11), short(0.0), short(-2.5)
    ('0.0123', '1,230', '3.20×10⁻¹¹', '0', '−2.50')
    """
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    mantissa, _, power = f"{abs(value):.2e}".partition("e")
    exponent = int(power)
    if -4 < exponent < 3:
        text = f"{abs(value):.{max(2 - exponent, 0)}f}"
    elif 3 <= exponent < 6:
        text = f"{float(mantissa) * 10**exponent:,.0f}"
    else:
        text = f"{mantissa}×{power_of_ten(exponent)}"
    return f"−{text}" if value < 0 else text


def power_of_ten(exponent: int) -> str:
    """
    >>> power_of_ten(-3)
    '10⁻³'
    """
    return f"10{str(exponent).translate(_SUPERSCRIPT)}"


def times(ratio: float) -> str:
    """A ratio.

    >>> times(2.41), times(130.2)
    ('2.4×', '130×')
    """
    return f"{ratio:.1f}×" if ratio < 9.95 else f"{float(f'{ratio:.2g}'):,.0f}×"


def percent(share: float) -> str:
    """
    >>> percent(0.97778)
    '97.8 %'
    """
    return f"{100 * share:.1f} %"


def seconds(value: float) -> str:
    """
    >>> seconds(0.0123), seconds(1.26), seconds(125)
    ('12 ms', '1.3 s', '2 min 5 s')
    """
    if value < 1:
        return f"{1000 * value:.0f} ms"
    if value < 60:
        return f"{value:.1f} s"
    return f"{value // 60:.0f} min {value % 60:.0f} s"


def count(number: int, noun: str, plural: str | None = None) -> str:
    """
    >>> count(1, "sample"), count(1437, "sample"), count(2, "class", "classes")
    ('1 sample', '1,437 samples', '2 classes')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def units(sizes: Sequence[int]) -> str:
    """How many units there are along each axis.

    >>> units((3, 1024)), units(())
    ('3 × 1,024', '1')
    """
    return " × ".join(f"{size:,}" for size in sizes) or "1"


def brief(record: Any) -> str:
    """A dataclass without the fields that have their defaults.

    >>> from pullback.nn.init import he
    >>> brief(he())
    "Scaled(fan='in', numerator=2.0)"
    """
    told = [
        f"{each.name}={getattr(record, each.name)!r}"
        for each in fields(record)
        if each.default is MISSING or getattr(record, each.name) != each.default
    ]
    return f"{type(record).__name__}({', '.join(told)})"


def aligned(values: list[float]) -> list[str]:
    """A column of numbers, filled up so that decimal points stand under each other.

    >>> aligned([0.0123, 1.5, 120.0])
    ['0.0123', '1.50\u2007\u2007', '120\u2008\u2007\u2007\u2007\u2007']
    """
    texts = [short(value) for value in values]
    if any("10" in text and "×" in text for text in texts):
        return [scientific(value) for value in values]
    fractions = [len(text.partition(".")[2]) for text in texts]
    most = max(fractions, default=0)
    return [
        text + ("\u2008" if most and not own else "") + "\u2007" * (most - own)
        for text, own in zip(texts, fractions, strict=True)
    ]


def scientific(value: float) -> str:
    """
    >>> scientific(0.000321)
    '3.21×10⁻⁴'
    """
    if value == 0 or not math.isfinite(value):
        return short(value)
    mantissa, _, power = f"{abs(value):.2e}".partition("e")
    return f"{'−' if value < 0 else ''}{mantissa}×{power_of_ten(int(power))}"


def collapsed(sizes: Iterable[object]) -> str:
    """Sizes of layers as a title that does not break: three or more equal ones are one with ×.

    >>> collapsed([64, 64, 64, 64, 10, 10]).replace("\u2060", "")
    '64×4–10–10'
    """
    runs = [(size, len(list(run))) for size, run in groupby(map(str, sizes))]
    one = {size: f"({size})" if "×" in size else size for size, _ in runs}  # of several axes
    parts = [[f"{one[size]}×{times}"] if times > 2 else [size] * times for size, times in runs]
    return "\u2060–\u2060".join(chain.from_iterable(parts))


def subscripted(letter: str, index: int | str) -> str:
    """
    >>> subscripted("w", 12)
    'w₁₂'
    """
    return letter + str(index).translate(_SUBSCRIPT)


def lowered(html: str) -> str:
    """HTML whose σ_w and δ_out, as a terminal has them, are set with a subscript.

    >>> lowered("σ_w of user_w")
    'σ<sub>w</sub> of user_w'
    """
    return _LOWERED.sub(r"\1<sub>\2</sub>", html)
