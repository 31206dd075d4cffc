"""The rows of a .csv file: its encoding, its delimiter, and where each row begins."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pullback.data.cells import is_number, shown
from pullback.errors import DataError
from pullback.foreign import reading, regular_file, room_for

_DELIMITERS = ",;\t|"
_BLANK = " "  # one or more, where nothing else cuts all rows alike
_MARKS = (  # UTF-32's begins as UTF-16's does
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CELLS = 12  # bytes of memory for a byte of the file, where cells are short
_LOOKED_AT = 200  # rows that tell the delimiter
_SAID = re.compile(r"\"?sep=(.)\"?\r?\n", re.IGNORECASE)  # spreadsheets say it on a line of its own
Row = tuple[list[str], int]


@dataclass(frozen=True)
class Rows:
    """Cells by row, the line on which each row begins, and what was guessed on the way."""

    cells: list[list[str]]
    lines: list[int]
    notes: list[str]


def read_rows(path: Path) -> Rows:
    """The rows of a file that are not blank.

    Raises DataError for a file that is not text, that holds nothing, or whose rows differ in
    length.
    """
    size = regular_file(path).stat().st_size
    room_for(_CELLS * size, f"{path.name} of {size:,} bytes", "write it as .parquet, in parts")
    with reading(path.name, "a text file with columns"):
        text, notes = _decoded(path.name, path.read_bytes())
        said = _SAID.match(text)
        text = text[said.end() :] if said else text
        stream = io.StringIO(text, newline="")  # a row ends with \n, \r or \r\n, and nowhere else
        comments = _comments(stream)
        start = stream.tell()
        delimiter = said[1] if said else _delimiter(text[start:])
        if delimiter == _BLANK:
            lines = [line.strip() for line in text[start:].replace("\t", _BLANK).split("\n")]
            stream = io.StringIO("\n".join(lines), newline="")
        rows = list(_parsed(stream, delimiter, len(comments) + bool(said)))
    if rows and comments and len(named := _cells(comments[-1], delimiter)) == len(rows[0][0]) > 1:
        rows.insert(0, (named, len(comments)))
        comments.pop()
    filled = [(row, line) for row, line in rows if any(map(str.strip, row))]
    if not filled:
        raise DataError(f"{path.name} is empty")
    if comments:
        notes.append(f"comments at the top are left out ({len(comments)} lines)")
    if len(filled) < len(rows):
        notes.append(f"rows without any value are left out ({len(rows) - len(filled):,})")
        rows = filled
    if titles := _titles(rows):
        first = shown(rows[0][0][0])
        notes.append(f"titles above the names are left out: {first}{', …' * (titles > 1)}")
        rows = rows[titles:]
    width = len(rows[0][0])
    if _names_rows([row for row, _ in rows]):
        rows[0][0].insert(0, "")
        width += 1
    for row, line in rows:
        if len(row) != width:
            raise DataError(
                f"{path.name}: line {line} has {len(row)} columns; expected {width}, as in line "
                f"{rows[0][1]}: complete that line or remove it, or put cells with a {delimiter!r} "
                "in quotes"
            )
    return Rows([row for row, _ in rows], [line for _, line in rows], notes)


def _titles(rows: Sequence[Row]) -> int:
    """How many rows at the top have one cell, above a row of names and rows of as many cells."""
    count = next((at for at, (row, _) in enumerate(rows) if len(row) > 1), 0)
    names, below = (rows[count][0], rows[count + 1 :]) if rows else ([], [])
    alike = below and all(len(row) == len(names) for row, _ in below)
    return count if alike and not any(is_number(cell.strip()) for cell in names) else 0


def _names_rows(rows: Sequence[Sequence[str]]) -> bool:
    """Are all rows a cell longer than the first, since names of rows have no name in R's?"""
    longer = len(rows) > 1 < len(rows[0]) and all(len(row) == len(rows[0]) + 1 for row in rows[1:])
    return longer and len({row[0] for row in rows[1:]}) == len(rows) - 1 and bool(rows[1][-1])


def _decoded(name: str, content: bytes) -> tuple[str, list[str]]:
    """The text of a file, by its byte order mark or else as UTF-8, and what is to be said of it."""
    found = next((codec for mark, codec in _MARKS if content.startswith(mark)), None)
    try:
        text = content.decode(found or "utf-8-sig")
    except UnicodeDecodeError as fault:
        line = content.count(b"\n", 0, fault.start) + 1
        raise DataError(
            f"{name} is not a text file in UTF-8: line {line} holds the byte "
            f"0x{content[fault.start]:02x}; save it as UTF-8: in a spreadsheet the format "
            '"CSV UTF-8", in a terminal iconv -f windows-1252 -t utf-8'
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(f"{name} is not a text file with columns: line {line} holds a zero byte")
    return text, [f"the text is read as {found.upper()}"] if found else []


def _comments(stream: io.StringIO) -> list[str]:
    """The lines at the top that begin with #; the stream is left behind them."""
    lines = []
    at = stream.tell()
    while (line := stream.readline()).startswith("#"):
        lines.append(line)
        at = stream.tell()
    stream.seek(at)
    return lines


def _cells(comment: str, delimiter: str) -> list[str]:
    """The cells of a comment, which may be the header: np.savetxt writes one so."""
    row = next(csv.reader([comment], delimiter=delimiter, skipinitialspace=True), [])
    return [row[0].lstrip("# ") or "#", *row[1:]] if row else []


def _parsed(stream: io.StringIO, delimiter: str, before: int = 0) -> Iterator[Row]:
    """The rows that are not blank, each with the line on which it begins."""
    # strict, since a quote that is never closed would swallow the rest of the file
    reader = csv.reader(stream, delimiter=delimiter, strict=True, skipinitialspace=True)
    line = before + 1
    for row in reader:
        if len(row) > 1 or (row and row[0].strip()):
            yield row, line
        line = before + reader.line_num + 1


def _delimiter(text: str) -> str:
    """What cuts all rows into as many cells, at least two; of several, what leaves most numbers."""
    shares = {}
    lines = [line.replace("\t", _BLANK).strip() for line in islice(text.split("\n"), _LOOKED_AT)]
    for delimiter in (*filter(text.__contains__, _DELIMITERS), _BLANK):
        held = "\n".join(lines) if delimiter == _BLANK else text
        try:
            parsed = _parsed(io.StringIO(held, newline=""), delimiter)
            placed = list(islice(parsed, _LOOKED_AT))
            rows = [row for row, _ in placed[_titles(placed) if delimiter != _BLANK else 0 :]]
        except csv.Error:
            continue
        if rows and len(rows[-1]) > 1 and (len({*map(len, rows)}) == 1 or _names_rows(rows)):
            cells = [cell.strip() for row in rows[1:] or rows for cell in row]
            numbers = [cell for cell in cells if _is_number_in(cell, delimiter)]
            shares[delimiter] = len(numbers) / len(cells)
    if shares:
        return max(shares, key=lambda each: shares[each])
    first = text.partition("\n")[0]
    return max(_DELIMITERS, key=first.count)


def _is_number_in(cell: str, delimiter: str) -> bool:
    return is_number(cell if delimiter in (",", _BLANK) else cell.replace(",", ".", 1))
