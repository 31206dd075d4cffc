"""Normal laws of tensors: independent entries, matrix-normal ones, and any covariance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.derive.expectation.monomial import Monomial, TensorEntry
from pullback.errors import ConfigError, DataError, ShapeError, finite, from_zero, shown
from pullback.ir import Axes, Axis, Constant, Input, Node
from pullback.ir.axis import show
from pullback.ir.scalar.primitives import Array

Given = float | str | Array


@dataclass(frozen=True, eq=False, repr=False)
class GaussianLaw:
    """A normal law: its mean, and one of std, cov, and rows with columns."""

    mean: Given = 0.0
    std: Given | None = None
    cov: Given | None = None
    rows: Given | None = None
    columns: Given | None = None

    def __repr__(self) -> str:
        given = {"cov": self.cov, "rows": self.rows, "columns": self.columns}
        parts = [_told(self.mean), *([] if self.std is None else [_told(self.std)])]
        parts += [f"{name}={_told(value)}" for name, value in given.items() if value is not None]
        return f"normal({', '.join(parts)})"


def normal(
    mean: Any = 0.0, std: Any = None, *, cov: Any = None, rows: Any = None, columns: Any = None
) -> GaussianLaw:
    """The normal law of a tensor, for ``expect``: independent entries, or dependent ones.

    ``mean`` and ``std`` (1 by default) are numbers, names of numbers such as "mu_w", or arrays of
    the tensor's shape; a name followed by axes, as "M n d" or "s d", has an entry for each place of
    these. ``cov`` is the covariance of all entries: an array (n, n) of a vector, (n, d, n, d) of a
    matrix, or a name. ``rows`` (n, n) and ``columns`` (d, d) make a matrix-normal law, with
    Cov(X[i,j], X[k,l]) = rows[i,k] columns[j,l]; one left out is the identity. Beside a covariance
    the name of a mean stands for an entry for each place.
    Raises ConfigError for a negative ``std`` and for laws that exclude each other, ShapeError and
    DataError for a covariance that is not square, symmetric and positive semidefinite.

    >>> normal("mu_w", "sigma_w"), normal("m", cov="Sigma")
    (normal('mu_w', 'sigma_w'), normal('m', cov='Sigma'))
    """
    several = [name for name, value in (("std", std), ("cov", cov)) if value is not None]
    several += ["rows and columns"] if rows is not None or columns is not None else []
    if len(several) > 1:
        raise ConfigError(f"a normal law has {' or '.join(several)}; give one of them")
    law = GaussianLaw(
        _given("mean", mean),
        None if several and std is None else _std(1.0 if std is None else std),
        *(None if each is None else _covariance(name, each)
          for name, each in (("cov", cov), ("rows", rows), ("columns", columns))),
    )  # fmt: skip
    return law


@dataclass(frozen=True)
class RandomTensor:
    """A variable of an expression with its law; what the law has by name or array are leaves."""

    leaf: Input
    law: GaussianLaw
    mean: Node
    std: Node | None
    cov: Input | None
    rows: Input | None
    columns: Input | None
    arrays: Mapping[str, Array]  # of the law's own leaves
    declared: frozenset[Input] = frozenset()  # variables that are declared symmetric or diagonal

    @property
    def parameters(self) -> tuple[Input, ...]:
        """What the law reads."""
        held = (self.mean, self.std, self.cov, self.rows, self.columns)
        return tuple(each for each in held if isinstance(each, Input))

    @property
    def symmetric(self) -> frozenset[Input]:
        """Its covariance matrices, and what is declared so."""
        held = (self.cov, self.rows, self.columns)
        return self.declared.union(e for e in held if e is not None and len(e.axes) == 2)

    def mean_at(self, at: Axes) -> Monomial | None:
        """E of one entry; None where that is 0."""
        return None if self.mean == Constant(0.0) else self._entry(self.mean, at)

    def _entry(self, node: Node, at: Axes) -> Monomial:
        """The entry of a parameter that may lack some axes of its variable."""
        if isinstance(node, Constant):
            return Monomial(node.value)
        places = dict(zip(self.leaf.axes, at, strict=True))
        there = tuple(places[axis] for axis in node.axes)
        return Monomial(entries=(TensorEntry(node, there, node in self.symmetric),))

    def covariance(self, one: Axes, other: Axes) -> Monomial:
        """The covariance of two entries."""
        if self.cov is not None:
            at, turns = (*one, *other), self.cov in self.symmetric
            return Monomial(entries=(TensorEntry(self.cov, at, turns),))
        if self.std is not None:
            pairs = tuple(zip(one, other, strict=True))
            std = self._entry(self.std, one)
            return Monomial(deltas=pairs).times(std).times(std)
        found = Monomial()
        for matrix, place in ((self.rows, 0), (self.columns, 1)):
            pair = (one[place], other[place])
            more = Monomial(deltas=(pair,))
            if matrix is not None:
                more = Monomial(entries=(TensorEntry(matrix, pair, symmetric=True),))
            found = found.times(more)
        return found

    def draws(self, count: int, arrays: Mapping[str, Array], shape: tuple[int, ...], rng: Any
              ) -> Array:  # fmt: skip
        """So many draws, on a new first axis; ``arrays`` holds the law's parameters."""
        noise = rng.standard_normal((count, *shape))
        mean = self._array(self.mean, arrays, shape)
        if self.std is not None:
            return np.asarray(mean + self._array(self.std, arrays, shape) * noise)
        if self.cov is not None:
            size = int(np.prod(shape))
            root = _root(arrays[self.cov.name].reshape(size, size))
            return np.asarray(mean + (noise.reshape(count, size) @ root.T).reshape(noise.shape))
        if self.rows is not None:
            noise = _root(arrays[self.rows.name]) @ noise
        if self.columns is not None:
            noise = noise @ _root(arrays[self.columns.name]).T
        return np.asarray(mean + noise)

    def _array(self, node: Node, arrays: Mapping[str, Array], shape: tuple[int, ...]) -> Array:
        if isinstance(node, Constant):
            return np.full(shape, node.value)
        assert isinstance(node, Input)
        held = [axis in node.axes for axis in self.leaf.axes]
        array = arrays[node.name]
        order = [node.axes.index(axis) for axis in self.leaf.axes if axis in node.axes]
        sizes = [size if have else 1 for size, have in zip(shape, held, strict=True)]
        return np.broadcast_to(array.transpose(order).reshape(sizes), shape)

    def check(self, arrays: Mapping[str, Array]) -> None:
        """Raise DataError where a parameter that has come by name is not what a law needs."""
        if isinstance(self.std, Input) and (arrays[self.std.name] < 0).any():
            low = arrays[self.std.name].min()
            raise DataError(
                f"{self.std.name} is the standard deviation of {self.leaf.name}, and {low:.6g} "
                "stands in it; expected numbers from 0"
            )
        for each in (self.cov, self.rows, self.columns):
            if each is not None:
                check_covariance(each.name, arrays[each.name])


def check_covariance(name: str, array: Array) -> None:
    """Raise ShapeError or DataError unless it is a covariance: square, symmetric, no eigenvalue
    below 0."""
    half = array.ndim // 2
    if array.ndim == 0 or array.ndim % 2 or array.shape[:half] != array.shape[half:]:
        raise ShapeError(
            f"{name} has shape {array.shape}; a covariance is square, as (n, n), or (n, d, n, d) "
            "of a matrix"
        )
    size = int(np.prod(array.shape[:half]))
    matrix = array.reshape(size, size)
    if not np.isfinite(matrix).all():
        raise DataError(f"{name} holds numbers that are not finite")
    largest = float(np.abs(matrix).max(initial=0.0))
    off = np.abs(matrix - matrix.T)
    if off.max(initial=0.0) > 1e-6 * largest:
        i, j = map(int, np.unravel_index(off.argmax(), off.shape))
        raise DataError(
            f"{name} is a covariance and not symmetric: {matrix[i, j]:.6g} and {matrix[j, i]:.6g} "
            f"face one another at ({i}, {j}); pass ({name} + {name}.T)/2 if that is meant"
        )
    least = float(np.linalg.eigvalsh((matrix + matrix.T) / 2).min())
    if least < -1e-6 * largest:
        raise DataError(
            f"{name} is no covariance: its smallest eigenvalue is {least:.6g}; expected none "
            "below 0"
        )


def bound(
    leaf: Input,
    law: GaussianLaw,
    known: Mapping[str, Input],
    declared: frozenset[Input] = frozenset(),
) -> RandomTensor:
    """The law of one variable, whose names are variables of the expression or new leaves.

    ``declared`` are the variables that are declared symmetric or diagonal.
    """
    axes, arrays = leaf.axes, dict[str, Array]()
    dependent = law.std is None
    if law.cov is not None and not axes:
        raise ConfigError(f"{leaf.name} is a number: give normal its std, not a cov")
    if (law.rows is not None or law.columns is not None) and len(axes) != 2:
        raise ConfigError(
            f"rows and columns are covariances of a matrix, and {leaf.name} has the axes "
            f"{show(axes)}: give normal a cov or a std"
        )

    def read(part: str, value: Given | None, whole: Axes, each: bool) -> Any:
        if value is None:
            return None
        if isinstance(value, str):
            return _named(leaf, part, value, whole, each, known)
        array = np.asarray(value)
        if array.ndim == 0 and part in ("mean", "std"):
            return Constant(float(array))
        if array.ndim != len(whole):
            raise ShapeError(
                f"the {part} of {leaf.name} has shape {array.shape}; expected {show(whole)}"
            )
        name = f"{part} of {leaf.name}"
        arrays[name] = array
        return Input(name, whole)

    row, column = (axes[0], axes[1]) if len(axes) == 2 else (None, None)
    return RandomTensor(
        leaf,
        law,
        read("mean", law.mean, axes, dependent),
        read("std", law.std, axes, False),
        read("cov", law.cov, (*axes, *fresh(axes, axes)), True),
        read("rows", law.rows, () if row is None else (row, row.primed), True),
        read("columns", law.columns, () if column is None else (column, column.primed), True),
        arrays,
        declared,
    )


def fresh(axes: Axes, taken: Iterable[Axis]) -> Axes:
    """As many new axes of the same lengths."""
    used, found = set(taken), list[Axis]()
    for axis in axes:
        new = axis.primed
        while new in used:
            new = new.primed
        used.add(new)
        found.append(new)
    return tuple(found)


def _named(
    leaf: Input, part: str, text: str, whole: Axes, each: bool, known: Mapping[str, Input]
) -> Input:
    """A parameter by its name: a variable of the expression, or a leaf with the axes it names."""
    name, *over = text.split()
    if not name.isidentifier():
        raise ConfigError(f"the {part} of {leaf.name} is {shown(text)}; expected a name")
    left, axes = list(whole), list[Axis]()
    for word in over:  # of a square matrix one name is meant twice
        axis = next((axis for axis in left if word in (axis.name, axis.unprimed.name)), None)
        if axis is None:
            raise ConfigError(
                f"the {part} of {leaf.name}, {shown(text)}, has an axis {word!r}; expected axes "
                f"of {leaf.name}: {show(leaf.axes)}"
            )
        left.remove(axis)
        axes.append(axis)
    if over and left and part not in ("mean", "std"):
        raise ConfigError(
            f"the {part} of {leaf.name}, {shown(text)}, has {len(over)} axes; expected "
            f"{len(whole)}, or the name alone"
        )
    if name in known:
        found = known[name]
        if part in ("mean", "std") and not set(found.axes) <= set(leaf.axes):
            raise ConfigError(
                f"{name}, the {part} of {leaf.name}, has the axes {show(found.axes)}; expected "
                f"some of {show(leaf.axes)}"
            )
        if part not in ("mean", "std") and len(found.axes) != len(whole):
            raise ConfigError(
                f"{name}, the {part} of {leaf.name}, has the axes {show(found.axes)}; expected "
                f"{show(whole)}"
            )
        return found
    if over:
        return Input(name, tuple(axes))
    return Input(name, whole if each else ())


def _root(matrix: Array) -> Array:
    """A root of a covariance, which may be singular."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return np.asarray(vectors * np.sqrt(np.clip(values, 0.0, None)))


def _given(name: str, value: Any) -> Given:
    if isinstance(value, str):
        if not value.strip():
            raise ConfigError(f"{name} is an empty name")
        return value
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        array = np.asarray(value, float)
    except (TypeError, ValueError):
        raise ConfigError(
            f"{name} is {shown(value)}; expected a number, a name or an array"
        ) from None
    if array.ndim == 0:
        return finite(name, float(array))
    if not array.size or not np.isfinite(array).all():
        raise DataError(f"{name} is an array that is empty or holds numbers that are not finite")
    return array


def _std(value: Any) -> Given:
    found = _given("std", value)
    if isinstance(found, float):
        return from_zero("std", found)
    if not isinstance(found, str) and (found < 0).any():
        raise ConfigError(f"std has {found.min():.6g} in it; expected numbers from 0")
    return found


def _covariance(name: str, value: Any) -> Given:
    found = _given(name, value)
    if not isinstance(found, str):
        check_covariance(name, np.asarray(found))
    return found


def _told(value: Given) -> str:
    if isinstance(value, (str, float)):
        return repr(value)
    return f"array{value.shape}"
