"""What the cells of a column are: numbers, truth values, dates or text; a guess is said."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pullback.data.dates import dates, hours
from pullback.foreign.columns import Array

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_WHOLE = re.compile(r"[+-]?[0-9]{1,19}")  # of these most fit into 64 bits
_DIGITS = re.compile(r"[+-]?[0-9]+")
_PADDED = re.compile(r"[+-]?0[0-9]+")
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+(?:,[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_GROUPED = re.compile(r"[+-]?[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]*)?")
_EITHER = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}")  # thousands, or three decimals
_POINTED = re.compile(r"[+-]?(?:[1-9][0-9]{0,2}(?:\.[0-9]{3})+|[0-9]+)(?:,[0-9]+)?")  # 1.234,5
_APART = re.compile(r"[+-]?[1-9][0-9]{0,2}(?:['’\u00a0\u202f ][0-9]{3})+(?:[.,][0-9]+)?")
_APART_BY = str.maketrans(dict.fromkeys("'’\u00a0\u202f "))
_IN_BRACKETS = re.compile(r"\(([^()]+)\)")  # what accountants write for a minus
_UNIT = re.compile(
    r"(?P<before>[$€£¥]\s?)?(?P<number>[+-]?[0-9.,]+)(?P<after>\s?(?:[%‰$€£¥]|[a-zA-Zµ°²³/]{1,8}))?"
)
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
    """The values of a column: float64, whole numbers, truth values, datetime64 or text (object).

    ``missing`` tells which entries are none, ``cells`` is what stood in a file of text, and
    ``note`` says how it was understood where a person might think otherwise: the end of a sentence
    that begins with the column. ``coded`` numbers may be codes: they have leading zeros, or more
    digits than 64 bits hold. ``pattern`` is that by which dates were read, "" for ISO 8601, and
    ``comma`` tells that a comma is the decimal mark for sure.
    """

    values: Array
    missing: Array
    cells: Sequence[str] = ()
    note: str = ""
    coded: bool = False
    pattern: str = ""
    comma: bool = False

    @property
    def is_text(self) -> bool:
        return self.values.dtype == object

    @property
    def is_date(self) -> bool:
        return self.values.dtype.kind == "M"

    def take(self, rows: Array) -> Column:
        """The entries at these places, or where this is True."""
        cells = [self.cells[at] for at in np.arange(len(self.values))[rows]] if self.cells else ()
        return replace(self, values=self.values[rows], missing=self.missing[rows], cells=cells)

    def texts(self) -> Array:
        """Each entry as text, as it stood in the file, or as numbers are written (object)."""
        return as_text(self.cells if self.cells else [str(each) for each in self.values.tolist()])

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


def is_infinite(cell: str) -> bool:
    """Does a program write this for a number without end?"""
    return cell.lower() in _INFINITE


def plain_form(cell: str) -> str:
    """How to write a number so that it is read as one."""
    if _EITHER.fullmatch(cell):
        return f"may be {cell.replace(',', '')} or {cell.replace(',', '.')}: write it without comma"
    return "is no plain number; write values as -1234.5, and classes with a letter in front"


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


def typed(raw: Sequence[str], markers: Collection[str] = (), comma: bool = False) -> Column:
    """A column from its cells; blanks at their ends do not count.

    ``markers`` are more cells that say that there is no value, beside NA, ?, … and the empty one;
    ``comma`` says that the decimal mark of the file is a comma.

    >>> typed(["1", " 2.5"]).values, typed(["1", "NA"]).missing
    (array([1. , 2.5]), array([False,  True]))
    >>> typed(["low", "-9", "high"], markers=["-9"]).missing
    array([False,  True, False])
    >>> typed(["1.234", "987"], comma=True).values
    array([1234,  987])
    """
    cells = [cell.strip() for cell in raw]
    none = np.array([cell in markers for cell in cells])
    held = (
        ["" if out else cell for cell, out in zip(cells, none, strict=True)] if markers else cells
    )
    column = _typed(held, comma)
    if column.is_text and len(set(held)) < len({each for each in raw if each not in markers}):
        blanks = "holds texts that differ in blanks at their ends, read as equal"
        column = replace(column, note=column.note or blanks)
    column = replace(column, cells=cells)
    return without(column, markers)


def without(column: Column, markers: Collection[str]) -> Column:
    """The column with entries that equal one of the markers missing, numbers by their value."""
    if column.is_text or column.is_date:
        return column
    values = [float(each) for each in markers if is_number(each)]
    return replace(column, missing=column.missing | np.isin(column.values, values))


def _typed(cells: Sequence[str], comma: bool) -> Column:
    missing = np.array([is_missing(cell) and not is_infinite(cell) for cell in cells])
    present = [cell for cell, none in zip(cells, missing, strict=True) if not none]
    pointed = _with_points(present, comma)
    if pointed is None and all(is_number(cell) or is_infinite(cell) for cell in present):
        return _numbers(cells, missing)
    if all(cell.lower() in TRUTH for cell in present):
        values = np.array([TRUTH.get(cell.lower(), False) for cell in cells])
        return Column(values, missing, cells, "holds true and false, read as 1 and 0")
    if found := pointed or _with_commas(present, comma) or _apart(present) or _with_units(present):
        plain, meaning = found
        example = max((cell for cell in present if plain(cell) != cell), key=len)
        read = _numbers([plain(cell) for cell in cells], missing)
        sure = "," in example and "." in plain(example)
        return replace(read, note=f"holds {shown(example)}, {meaning}", comma=sure)
    known = ["" if none else cell for cell, none in zip(cells, missing, strict=True)]
    if moments := dates(known):
        return Column(moments.values, missing, cells, moments.note, pattern=moments.pattern)
    if (spent := hours(known)) is not None:
        example = shown(present[0])
        return Column(spent, missing, cells, f"holds {example}, read as hours of the day")
    no_text = np.array([cell.lower() in _NO_TEXT for cell in cells])
    return Column(as_text(cells), no_text, cells)


def as_text(cells: Sequence[str]) -> Array:
    """Texts as an array of objects: one long text does not make all of them long."""
    values = np.empty(len(cells), object)
    values[:] = cells
    return values


def _numbers(cells: Sequence[str], missing: Array) -> Column:
    """Whole numbers of 64 bits as such, 0 where one is missing; others in float64."""
    present = [cell for cell, none in zip(cells, missing, strict=True) if not none]
    padded = any(map(_PADDED.fullmatch, present))
    note = "holds numbers with leading zeros, read without them" if padded else ""
    pairs = zip(cells, missing, strict=True)
    if present and all(map(_WHOLE.fullmatch, present)):
        whole = np.array([0 if none else int(cell) for cell, none in pairs])
        if whole.dtype.kind in "iu":
            return Column(whole, missing, cells, note, padded)
        pairs = zip(cells, missing, strict=True)
    values = np.array([np.nan if none else float(cell) for cell, none in pairs])
    coded = padded or bool(present and all(map(_DIGITS.fullmatch, present)))
    return Column(values, missing, cells, note, coded)


Reading = tuple[Callable[[str], str], str]  # how a cell becomes a plain number, and in words


def _with_points(present: Sequence[str], comma: bool) -> Reading | None:
    """How to read 1.234,5 and, where the file's decimal mark is a comma, 1.234."""
    known = comma or any("," in cell and "." in cell for cell in present)
    if not known or not any("." in cell for cell in present):
        return None
    if not all(map(_POINTED.fullmatch, present)):
        return None
    return _german, "with the point read as a mark of thousands"


def _german(cell: str) -> str:
    return cell.replace(".", "").replace(",", ".")


def _with_commas(present: Sequence[str], comma: bool) -> Reading | None:
    """How to write numbers with commas without them, if all of them are of one kind for sure."""
    commas = [cell for cell in present if "," in cell]
    unsure = all(map(_EITHER.fullmatch, commas)) and not comma
    if all(map(_DECIMAL_COMMA.fullmatch, present)) and not unsure:
        return (lambda cell: cell.replace(",", ".")), "with the comma read as the decimal mark"
    grouped = all(_GROUPED.fullmatch(cell) or is_number(cell) for cell in present)
    points = any("." in cell for cell in present)
    if grouped and (points or not unsure):
        return (lambda cell: cell.replace(",", "")), "with the comma read as a mark of thousands"
    return None


def _apart(present: Sequence[str]) -> Reading | None:
    """How to read 1'234 and 1 234, and (12) for −12."""
    if any(map(_APART.fullmatch, present)) and all(
        _APART.fullmatch(cell) or is_number(cell.replace(",", ".")) for cell in present
    ):
        plain = lambda cell: cell.translate(_APART_BY).replace(",", ".")  # noqa: E731
        return plain, "with its groups of three digits put together"
    inner = [_IN_BRACKETS.sub(r"-\1", cell) for cell in present]
    if inner != list(present) and all(map(is_number, inner)):
        return (lambda cell: _IN_BRACKETS.sub(r"-\1", cell)), "with the brackets read as a minus"
    return None


def _with_units(present: Sequence[str]) -> Reading | None:
    """How to write shares, prices and lengths without their sign, if all of them have the same."""
    parts = [_UNIT.fullmatch(cell) for cell in present]
    signs = {(each["before"], each["after"]) for each in parts if each is not None}
    if None in parts or len(signs) != 1 or signs == {(None, None)}:
        return None

    def plain(cell: str) -> str:
        found = _UNIT.fullmatch(cell)
        return found["number"].replace(",", "") if found else cell

    prices = all(
        is_number(each["number"]) or _GROUPED.fullmatch(each["number"]) for each in parts if each
    )
    word = any(map(str.isalpha, str(signs.pop()[1] or "")))
    return (plain, f"read without its {'unit' if word else 'sign'}") if prices else None
