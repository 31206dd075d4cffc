"""``Preprocessing``: how a table becomes X and Y, fitted on training rows, the same for all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from pullback.data.encoders import ENCODERS, CategoryColumn, Encoder
from pullback.data.kinds import kinds_of
from pullback.data.scaling import Scaling
from pullback.data.table import Table
from pullback.data.target import TargetColumn
from pullback.errors import DataError, nearest
from pullback.foreign.columns import Array, singles

_FIELDS: dict[str, Callable[[Any], Any]] = {
    "name": str, "filled": int, "median": float, "other": bool, "pattern": str,
    "values": lambda texts: tuple(map(str, texts)), "periods": lambda texts: tuple(map(str, texts)),
}  # fmt: skip
_PLURALS = {"number": "numbers", "category": "categories", "date": "dates"}


@dataclass(frozen=True)
class Preprocessing:
    """What was learnt of the columns of a table: how each is encoded, filled in and scaled.

    ``left`` says for each column that is no feature why; ``scaling`` holds that of ``x`` and of
    ``y`` where there is one, ``missing`` the values that were said to be none.

    >>> from pullback.data import load
    >>> print(load("digits").preprocessing.text())
    64 features; target: digit, 10 classes: classification
    """

    target: TargetColumn
    columns: tuple[Encoder, ...] = ()
    left: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    scaling: Mapping[str, Scaling] = field(default_factory=dict)
    arrays: int = 0  # features of an array, which has no columns by name

    @classmethod
    def fit(
        cls, table: Table, target: TargetColumn, left: Mapping[str, str], keep: Collection[str] = ()
    ) -> tuple[Preprocessing, tuple[str, ...]]:
        """What a table asks for, less the columns left out already, and what else was guessed.

        Raises DataError for a column that is neither numbers nor text nor dates.
        """
        names = [name for name in table.columns if name != target.name and name not in left]
        kinds = kinds_of(table, names, keep)
        columns = tuple(kind.fit(name, table) for name, kind in kinds.encoders.items())
        return cls(target, columns, {**left, **kinds.left}), kinds.notes

    def refitted(self, table: Table) -> Preprocessing:
        """The same columns, fitted on these rows alone."""
        columns = tuple(type(each).fit(each.name, table) for each in self.columns)
        return replace(self, columns=columns)

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the columns of X."""
        if self.arrays:
            return tuple(f"x{at}" for at in range(self.arrays))
        return tuple(name for each in self.columns for name in each.features)

    def encode(self, table: Table) -> tuple[Array, tuple[str, ...]]:
        """X (rows, features) in float64, unscaled; and what is to be said of single columns.

        Columns are found by name, others are not looked at. Raises UnknownNameError for one that
        the table lacks, DataError, with the place, for one of another kind.
        """
        lacking = [each.name for each in self.columns if each.name not in table.columns]
        if lacking:
            others = [name for name in table.columns if name not in self._names]
            raise DataError(
                f"{table.name} has no column {', '.join(map(repr, lacking))}, which the network "
                f"was trained on; {nearest(lacking[0], others or table.columns)}"
            )
        parts = [each.encode(table) for each in self.columns]
        notes = [
            f"column {each.name!r} {note}"
            for each, (_, said) in zip(self.columns, parts, strict=True)
            for note in (table[each.name].note, said)
            if note
        ]
        return np.column_stack([columns for columns, _ in parts]), tuple(notes)

    def scaling_of(self, X: Array) -> Scaling:
        """Mean 0 and deviation 1 for numbers and dates; what is 0 or 1 for a category stays so."""
        found = Scaling.of(X)
        if not self.columns:
            return found
        kinds = [each.kind for each in self.columns for _ in each.features]
        one_hot = np.array(kinds) == CategoryColumn.kind
        return Scaling(np.where(one_hot, 0.0, found.mean), np.where(one_hot, 1.0, found.deviation))

    def scaled(self, X: Array, source: str) -> Array:
        """X of that source as the network takes it: scaled in float64, and then in float32.

        Raises DataError for what float32 cannot hold.
        """
        if "x" in self.scaling:
            X = self.scaling["x"](X)
        pairs = zip(self.features, X.T, strict=True)
        columns = [singles(f"{source}: column {name!r}", column) for name, column in pairs]
        return np.column_stack(columns)

    def values(self, outputs: Array) -> Array:
        """A network's outputs in the target's own units, in float64."""
        if "y" in self.scaling:
            return self.scaling["y"].back(outputs)
        return outputs.astype(np.float64)

    @property
    def _names(self) -> set[str]:
        return {each.name for each in self.columns}

    def text(self) -> str:
        """What was done, in one line."""
        target = f"target: {self.target.name}, {self.target.said}"
        if self.arrays:
            return f"{self.arrays:,} features; {target}"
        count = len(self.columns) + len(self.left)
        kinds = Counter(each.kind for each in self.columns)
        parts = [_counted(kinds[kind], kind) for kind in _PLURALS if kinds[kind]]
        reasons = [name + (f" ({why})" if why else "") for name, why in self.left.items()]
        if reasons:
            shown = reasons if len(reasons) < 8 else [*reasons[:6], f"{len(reasons) - 6} more"]
            parts.append(f"{len(reasons):,} dropped: {', '.join(shown)}")
        line = f"{count:,} column{'s' * (count != 1)}: {', '.join(parts)}"
        gaps = sum(each.filled for each in self.columns if not isinstance(each, CategoryColumn))
        if gaps:
            line += f"; {gaps:,} missing value{'s' * (gaps > 1)} filled with the median"
        own = sum(each.filled for each in self.columns if isinstance(each, CategoryColumn))
        if own:
            line += f"; {own:,} missing in categories, a category of their own"
        if len(self.features) != len(self.columns):
            line += f"; {len(self.features):,} features"
        return f"{line}; {target}"

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as JSON holds it; ``from_dict`` reads it again."""
        return {
            "target": self.target.to_dict(),
            "columns": [
                {"kind": each.kind, **{f.name: getattr(each, f.name) for f in fields(each)}}
                for each in self.columns
            ],
            "left": dict(self.left),
            "missing": list(self.missing),
            "scaling": {name: each.to_dict() for name, each in self.scaling.items()},
            "arrays": self.arrays,
        }

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Preprocessing:
        """What ``to_dict`` made plain.

        >>> from pullback.data import load
        >>> found = load("digits").preprocessing
        >>> Preprocessing.from_dict(found.to_dict()) == found
        True
        """
        return cls(
            TargetColumn.from_dict(told["target"]),
            tuple(_encoder(each) for each in told["columns"]),
            {str(name): str(why) for name, why in told["left"].items()},
            tuple(map(str, told["missing"])),
            {name: Scaling.from_dict(each) for name, each in told["scaling"].items()},
            int(told["arrays"]),
        )


def _encoder(told: Mapping[str, Any]) -> Encoder:
    given = {name: _FIELDS[name](value) for name, value in told.items() if name != "kind"}
    return ENCODERS[told["kind"]](**given)


def _counted(count: int, kind: str) -> str:
    word = kind if count == 1 else _PLURALS[kind]
    return f"{count:,} {word}{' (one-hot)' if kind == CategoryColumn.kind else ''}"
