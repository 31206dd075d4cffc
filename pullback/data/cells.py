"""What the cells of a column are: numbers, truth values or text; a guess is said."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pullback.data.dataset import Array

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_WHOLE = re.compile(r"[+-]?[0-9]{1,19}")  # of these most fit into 64 bits
_DIGITS = re.compile(r"[+-]?[0-9]+")
_PADDED = re.compile(r"[+-]?0[0-9]+")
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+(?:,[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_GROUPED = re.compile(r"[+-]?[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]*)?")
_EITHER = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}")  # thousands, or three decimals
_SHOWN = 40  # characters of a cell
TRUTH = {"false": False, "true": True}
_NO_TEXT = frozenset(("", "?", "na", "n/a", "#n/a", "<na>", "nan", "nat", "null"))
_INFINITE = frozenset(sign + word for sign in ("", "+", "-") for word in ("inf", "infinity"))
_NO_NUMBER = frozenset(
    ("-", "--", ".", "*", "none", "nil", "missing", "n.a.", "nd", "+nan", "-nan")
)
_NO_NUMBER |= _NO_TEXT | _INFINITE
_LIKE_A_NUMBER = re.compile(
    r"[+-]?[$€£¥]?\s?[+-]?[0-9][0-9.,'_\s]*\s?[%‰$€£¥]?"  # percent, currency, groups of digits
    r"|[0-9]{4}[-/.][0-9]{1,2}[-/.][0-9]{1,2}(?:[T ].*)?"  # dates
    r"|[0-9]{1,2}[-/.][0-9]{1,2}[-/.][0-9]{2,4}(?: .*)?"
)


@dataclass(frozen=True)
class Column:
    """The values of a column: float64, whole numbers, truth values, or text (object).

    ``missing`` tells which entries are none, ``cells`` is what stood in a file of text, and
    ``note`` says how it was understood where a person might think otherwise: the end of a sentence
    that begins with the column. ``coded`` numbers may be codes: they have leading zeros, or more
    digits than 64 bits hold.
    """

    values: Array
    missing: Array
    cells: Sequence[str] = ()
    note: str = ""
    coded: bool = False

    @property
    def is_text(self) -> bool:
        return self.values.dtype == object

    def first_word(self) -> int:
        """The place of the first text that is no number."""
        return next(at for at, cell in enumerate(self.values) if not is_number(cell))


def is_number(cell: str) -> bool:
    """Is this a finite decimal number as programs write it, such as -1.5e3?

    >>> [is_number(cell) for cell in ("1", "-.5e3", "1_000", "١", "0x1F", "nan", "")]
    [True, True, False, False, False, False, False]
    """
    return _NUMBER.fullmatch(cell) is not None


def shown(cell: str) -> str:
    """A cell in quotes, as much of it as a message can hold.

    >>> shown("low"), shown("x" * 99)
    ("'low'", "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…'")
    """
    return repr(cell if len(cell) <= _SHOWN else f"{cell[:_SHOWN]}…")


def is_missing(cell: str) -> bool:
    """Does this say, in a column of numbers, that there is none?"""
    return cell.lower() in _NO_NUMBER


def looks_like_a_number(cell: str) -> bool:
    """Would a person call this a number, a share, a price or a date, though it is not read as one?

    >>> [looks_like_a_number(cell) for cell in ("12%", "1,5", "1_000", "2020-01-31", "grade 3")]
    [True, True, True, True, False]
    """
    try:
        float(cell)  # which takes more than we do: 1_000, other alphabets' digits
    except ValueError:
        return _LIKE_A_NUMBER.fullmatch(cell) is not None
    return True


def typed(raw: Sequence[str]) -> Column:
    """A column from its cells; blanks at their ends do not count.

    >>> typed(["1", " 2.5"]).values, typed(["1", "NA"]).missing
    (array([1. , 2.5]), array([False,  True]))
    """
    cells = [cell.strip() for cell in raw]
    missing = np.array([is_missing(cell) for cell in cells])
    present = [cell for cell, none in zip(cells, missing, strict=True) if not none]
    if all(map(is_number, present)):
        return _numbers(cells, missing)
    if all(cell.lower() in TRUTH for cell in present):
        values = np.array([TRUTH.get(cell.lower(), False) for cell in cells])
        return Column(values, missing, cells, "holds true and false, read as 1 and 0")
    if found := _with_commas(present):
        plain, meaning = found
        example = max((cell for cell in present if "," in cell), key=len)
        read = _numbers([plain(cell) for cell in cells], missing)
        return replace(read, cells=cells, note=f"holds {shown(example)}, {meaning}")
    merged = len(set(cells)) < len(set(raw))
    note = "holds texts that differ in blanks at their ends, read as equal" if merged else ""
    no_text = np.array([cell.lower() in _NO_TEXT for cell in cells])
    return Column(as_text(cells), no_text, cells, note)


def as_text(cells: Sequence[str]) -> Array:
    """Texts as an array of objects: one long text does not make all of them long."""
    values = np.empty(len(cells), object)
    values[:] = cells
    return values


def _numbers(cells: Sequence[str], missing: Array) -> Column:
    present = [cell for cell, none in zip(cells, missing, strict=True) if not none]
    padded = any(map(_PADDED.fullmatch, present))
    note = "holds numbers with leading zeros, read without them" if padded else ""
    if len(present) == len(cells) and all(map(_WHOLE.fullmatch, cells)):
        whole = np.array([int(cell) for cell in cells])
        if whole.dtype.kind in "iu":
            return Column(whole, missing, cells, note, padded)
    pairs = zip(cells, missing, strict=True)
    values = np.array([np.nan if none else float(cell) for cell, none in pairs])
    coded = padded or all(map(_DIGITS.fullmatch, present))
    return Column(values, missing | ~np.isfinite(values), cells, note, coded)


def _with_commas(present: Sequence[str]) -> tuple[Callable[[str], str], str] | None:
    """How to write numbers with commas without them, if all of them are of one kind for sure."""
    commas = [cell for cell in present if "," in cell]
    unsure = all(map(_EITHER.fullmatch, commas))
    if all(map(_DECIMAL_COMMA.fullmatch, present)) and not unsure:
        return (lambda cell: cell.replace(",", ".")), "with the comma read as the decimal mark"
    grouped = all(_GROUPED.fullmatch(cell) or is_number(cell) for cell in present)
    points = any("." in cell for cell in present)
    if grouped and (points or not unsure):
        return (lambda cell: cell.replace(",", "")), "with the comma read as a mark of thousands"
    return None
