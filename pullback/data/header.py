"""Does the first row name the columns? It is compared with the rows below, and never assumed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from pullback.data.cells import TRUTH, is_missing, is_number, looks_like_a_number, shown
from pullback.errors import DataError

_LOOKED_AT = 1000  # rows below that the first one is compared with
Row = Sequence[str]


def has_header(name: str, rows: Sequence[Row]) -> bool:
    """Whether the first of the rows holds names; cells have no blanks at their ends.

    A text above numbers is a name; a text that is found below again is a value. Raises DataError
    where neither is there and the numbers of the first row may be names: 0, 1, 2, …

    >>> has_header("t.csv", [["0", "1", "target"], ["5.1", "3.5", "0"]])
    True
    >>> has_header("t.csv", [["5.1", "3.5", "0"], ["4.9", "3.0", "1"]])
    False
    """
    first, below = rows[0], rows[1 : _LOOKED_AT + 1]
    numbers = [cell for cell in first if is_number(cell)]
    words = [at for at, cell in enumerate(first) if _is_word(cell)]
    columns = [[row[at] for row in below] for at in words]
    again = sum(first[at] in column for at, column in zip(words, columns, strict=True))
    if len(words) + sum(map(is_missing, first)) == len(first) and (words or not below):
        return 2 * again <= len(words)  # a table of words alone has values that come again
    if again:
        return False
    if not below or not _could_be_names(first, numbers, len(words), below):
        return False
    if any(map(_is_numeric, columns)):
        return True
    # every word stands above words: where those come again and again, it is no value
    unlike = bool(words) and all(len(column) >= 2 * len(set(column)) for column in columns)
    if unlike and _counts(numbers):
        return True
    if words and not unlike and not _counts(numbers):
        return False
    raise DataError(
        f"{name}: does the first line, {_shown(first)}, name the columns, or is it a sample? "
        "Say which: load(…, header=True) or header=False; --header or --no-header"
    )


def _is_word(cell: str) -> bool:
    """No number, no truth value, nothing that a person would take for one."""
    return not (is_missing(cell) or looks_like_a_number(cell) or cell.lower() in TRUTH)


def _is_numeric(column: Row) -> bool:
    present = [cell for cell in column if not is_missing(cell)]
    return bool(present) and not any(map(_is_word, present))


def _could_be_names(first: Row, numbers: Row, words: int, below: Sequence[Row]) -> bool:
    """Names differ; numbers as names grow, and where no word is with them they look like names."""
    unnamed = first[0] == ""  # the index of pandas
    if len(set(first)) < len(first) or len(numbers) + words + unnamed < len(first):
        return False
    values = [float(cell) for cell in numbers]
    if not all(one < other for one, other in pairwise(values)):
        return False
    if words or _counts(numbers):
        return True
    steady = len(numbers) > 2 and all(map(str.isdigit, numbers))
    return steady and not any(cell.isdigit() for row in below for cell in row)


def _counts(numbers: Row) -> bool:
    """0, 1, 2, … as pandas numbers columns."""
    return list(numbers) == [str(at) for at in range(len(numbers))]


def _shown(first: Row) -> str:
    return ", ".join(map(shown, first[:6])) + (", …" if first[6:] else "")
