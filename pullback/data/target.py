"""What a target is: classes with their names, or values. What was guessed can be overridden."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.data.cells import Column, as_text, is_number, looks_like_a_number, plain_form, shown
from pullback.data.table import Table
from pullback.errors import ConfigError, DataError, unknown
from pullback.foreign.columns import Array, doubles

MOST_CLASSES = 20
TASKS = ("classification", "regression")


@dataclass(frozen=True)
class TargetColumn:
    """The column to predict: with the names of its classes, or with none where it holds values.

    ``said`` is what was found and guessed: the end of a sentence that begins with the column.
    """

    name: str
    classes: tuple[str, ...] = ()
    said: str = ""

    @property
    def task(self) -> str:
        return "classification" if self.classes else "regression"

    def encode(self, table: Table) -> Array:
        """Class numbers, or values in float64 (rows,).

        Raises DataError, with the place, for missing entries and for a class that is unknown.
        """
        table.refuse(self.name, table[self.name].missing | table.infinite(self.name), UNLABELLED)
        if not self.classes:
            table.refuse_text(self.name)
            return doubles(table.label(self.name), table[self.name].values)
        labels = labels_of(table[self.name])
        places = {each: at for at, each in enumerate(self.classes)}
        numbers = np.array([places.get(each, -1) for each in labels], int)
        if (numbers < 0).any():
            at = int(np.argmax(numbers < 0))
            raise DataError(
                f"{table.label(self.name)} holds {shown(labels[at])} in "
                f"{table.place(numbers < 0)}, which is no class of training; expected one of "
                f"{', '.join(self.classes[:6])}{', …' if self.classes[6:] else ''}"
            )
        return numbers

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {"name": self.name, "classes": list(self.classes), "said": self.said}

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> TargetColumn:
        """What ``to_dict`` made plain."""
        return cls(str(told["name"]), tuple(map(str, told["classes"])), str(told["said"]))


UNLABELLED = "; unlabelled='drop' (--drop-unlabelled) leaves such rows out"


def target_of(table: Table, name: str, task: str | None = None) -> TargetColumn:
    """What the column of a table is as a target.

    Text and truth values are classes. Whole numbers are where they count 0, 1, 2, … or 1, 2, 3, …
    to at most 20, or are two, and come twice or more on average; other numbers are values. ``task``
    overrides that. Raises DataError, with the place, for missing entries and for what is neither.
    """
    table.refuse(name, table[name].missing | table.infinite(name), UNLABELLED)
    column, label = table[name], table.label(name)
    if column.is_date:
        raise DataError(
            f"{label} holds dates, such as {shown(str(column.texts()[0]))}; expected classes or "
            "numbers: name another column with target= (--target)"
        )
    if column.is_text and column.cells:
        _refuse_misread(table, name, column)
    return TargetColumn(name, *_classes(label, column, task))


def targets_of(label: str, values: Array, task: str | None = None) -> tuple[TargetColumn, Array]:
    """Numbers or text (samples,), or numbers (samples, outputs), as a target with its values."""
    if values.ndim > 1:
        if task == "classification":
            raise DataError(f"{label} has {values.shape[1]} columns; classes need one")
        return TargetColumn(label, (), f"{values.shape[1]} columns of values: regression"), doubles(
            label, values
        )
    none = np.zeros(len(values), bool)
    text = values.dtype.kind == "U"
    column = Column(as_text([str(each) for each in values]) if text else values, none)
    target = TargetColumn(label, *_classes(label, column, task))
    table = Table(label, {label: column}, range(1, len(values) + 1), "row")
    return target, target.encode(table)


def labels_of(column: Column) -> list[str]:
    """What each entry is called as a class: 1.0 and 1 are one, 01 and 1 are two."""
    if column.coded:
        return list(column.cells)
    values = column.values
    if values.dtype == bool:
        return ["true" if each else "false" for each in values]
    if values.dtype.kind == "f":
        return [str(int(each)) if each.is_integer() else repr(each) for each in values.tolist()]
    return [str(each) for each in values.tolist()]


def _classes(label: str, column: Column, task: str | None) -> tuple[tuple[str, ...], str]:
    """The names of the classes, or none; and what is said of it."""
    if task is not None and task not in TASKS:
        raise unknown("task", task, TASKS)
    values = column.values
    text = column.is_text or column.coded or values.dtype == bool
    labels = np.array(labels_of(column), object)
    different = len(set(labels))
    if text and task == "regression" and (column.is_text or column.coded):
        what = "codes" if column.coded else "text"
        raise ConfigError(
            f"{label} holds {what}, such as {shown(str(labels[0]))}, which --task regression "
            "cannot predict; expected numbers, or --task classification"
        )
    few = different <= MOST_CLASSES and 2 * different <= len(labels)
    wanted = task == "classification" or (task is None and text)
    if wanted and different > MOST_CLASSES and 2 * different > len(labels):
        raise DataError(
            f"{label} holds {different:,} different {'texts' if text else 'numbers'} in "
            f"{len(labels):,} rows, such as {shown(str(labels[0]))}: names, not classes; name "
            "another column as the target"
        )
    if text and task != "regression":
        what = "codes" if column.coded else "classes"
        return tuple(sorted(set(labels))), f"{different:,} {what}: classification"
    whole = values.dtype.kind in "iub" or bool((values == np.round(values)).all())
    found = np.unique(values)
    counted = whole and few and (different == 2 or _counts(found))
    kind = f"{different:,} whole numbers" if whole else "numbers"
    if task == "classification" or (task is None and counted):
        ordered = labels_of(Column(found, np.zeros(len(found), bool)))
        other = " (--task regression for values)" if task is None else ""
        return tuple(ordered), f"{kind}: classification{other}"
    other = " (--task classification for classes)" if task is None and whole and few else ""
    return (), f"{kind}: regression{other}"


def _counts(found: Array) -> bool:
    """0, 1, 2, … or 1, 2, 3, …"""
    return bool(found[0] in (0, 1) and (np.diff(found) == 1).all())


def _refuse_misread(table: Table, name: str, column: Column) -> None:
    """Texts of a file that knows nothing but text may be numbers misread: raise DataError."""
    label, cells = table.label(name), column.cells
    plain = np.array(list(map(is_number, cells)))
    like = plain | np.array(list(map(looks_like_a_number, cells)))
    if like.all():
        odd = cells[int(np.argmin(plain))]
        raise DataError(
            f"{label} holds {shown(odd)} in {table.place(~plain)}, which {plain_form(odd)}"
        )
    different = len(set(cells))
    if like.any() and not (different <= MOST_CLASSES and 2 * different <= len(like)):
        raise DataError(
            f"{label} holds numbers, and text: first {shown(cells[int(np.argmin(like))])} in "
            f"{table.place(~like)}; correct it, or write classes as text throughout"
        )
