"""The scale of the data: inputs or targets that no initialisation can make up for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pullback.calculus.quadrature import Array
from pullback.errors import DataError
from pullback.moments.law.setting import Setting

LARGE = 30.0  # root mean square of an entry, from where on data count as unscaled
TINY = 0.01  # no entry is larger
OFFSET = 30.0  # times the spread that the mean may be
SOME = 3.0  # the same of all entries, from where on one column that is too large counts
_BYTE = 255
_FEW = 8  # columns that a sentence names
_ROUNDING = 1e-12  # of the largest entry: less is no spread
_EXACT = 2.0**24  # beyond which float32 skips whole numbers


@dataclass(frozen=True)
class Scale:
    """Mean and spread of the inputs or targets, and what is wrong with them, if anything.

    ``spread`` is the standard deviation of a column, those that are constant left aside.
    ``word`` is ``"constant"``, ``"unscaled"`` or ``""``. ``columns`` are those at fault, where few
    are; mean and spread are then theirs. ``fix`` is the line of code that scales.
    """

    name: str
    symbol: str
    mean: float
    spread: float
    word: str
    samples: int
    columns: tuple[int, ...] = ()
    fix: str = ""

    def text(self) -> str:
        """What is wrong, and how to fix it, in one sentence."""
        if self.word == "constant":
            lost = " If they are not, float32 has rounded them: subtract the mean in float64 first."
            return (
                f"All {self.samples:,} samples of {self.symbol} are equal (mean {self.mean:.3g}): "
                f"nothing in the {self.name} tells them apart. Give data that vary."
                f"{lost if abs(self.mean) > _EXACT else ''}"
            )
        which = f"{_listed(self.columns)} of {self.symbol} has" if self.columns else "they have"
        if len(self.columns) > 1:
            which = f"{_listed(self.columns)} of {self.symbol} have"
        return (
            f"Scale your {self.name}: {which} mean {self.mean:.3g} and spread {self.spread:.3g}"
            f"{', unlike the others' if self.columns else ''}; {self.fix}."
        )


def _listed(columns: tuple[int, ...]) -> str:
    shown = ", ".join(map(str, columns[:_FEW])) + (", …" if len(columns) > _FEW else "")
    return f"column{'s' * (len(columns) > 1)} {shown}"


def scales_of(setting: Setting) -> tuple[Scale, ...]:
    """The scales at fault: of the inputs, and of targets that are values."""
    found = [_scale("inputs", *each) for each in _real(setting)]
    if _are_values(setting):
        targets = _scale("targets", "Y", setting.target)
        # targets that are all equal are dull, but can be learnt
        found += [targets] if targets.word != "constant" else []
    return tuple(each for each in found if each.word)


def _real(setting: Setting) -> list[tuple[str, Array]]:
    """The inputs that hold no whole numbers, each under the name of its array.

    As the first layer sees them, where it is behind an activation.
    """
    inputs, laws = setting.inputs, setting.laws
    if laws is not None and laws.structure.head is not None:
        inputs = {name: laws.structure.head.function(v) for name, v in inputs.items()}
    called = {name: "X" if len(inputs) == 1 else f"X[{name!r}]" for name in inputs}
    return [(called[n], v) for n, v in inputs.items() if not setting.net.xs[n].whole]


def _are_values(setting: Setting) -> bool:
    return setting.net.criterion.target == "values"


def scaled(setting: Setting) -> Setting | None:
    """The same network on data of mean 0 and deviation 1; None if nothing is left of them."""
    whole = {name for name, leaf in setting.net.xs.items() if leaf.whole}
    better = {n: _standard(v) for n, v in setting.inputs.items() if n not in whole}
    if _are_values(setting):
        better["target"] = _standard(setting.target)
    try:
        return setting.on(better)
    except DataError:
        return None


def _standard(values: Array) -> Array:
    size = np.abs(values).max(initial=0.0) or 1.0
    centred = values / size - (values / size).mean(axis=0)
    spread = centred.std(axis=0)
    moving = spread > _ROUNDING
    return np.asarray(np.where(moving, centred / np.where(moving, spread, 1.0), 0.0))


def _scale(name: str, symbol: str, values: Array) -> Scale:
    values = values.reshape(len(values), -1) if values.ndim < 2 else values
    size = float(np.abs(values).max(initial=0.0)) or 1.0
    shares = values / size
    spreads = shares.std(axis=0)
    moving = spreads > _ROUNDING
    roots = size * np.sqrt(np.mean(shares**2, axis=0))
    root = float(np.sqrt(np.mean(roots**2)))
    word, columns = "", tuple[int, ...]()
    if len(values) > 1 and not moving.any():
        word = "constant"
    elif moving.any():
        spread = size * float(np.sqrt(np.mean(spreads[moving] ** 2)))
        centre = size * float(np.sqrt(np.mean(shares.mean(axis=0)[moving] ** 2)))
        large = roots > LARGE
        if root > LARGE or size < TINY or centre > OFFSET * spread or (large.any() and root > SOME):
            word = "unscaled"
            if values.ndim == 2 and large.mean() <= 1 / 2:
                columns = tuple(map(int, np.flatnonzero(large)))
    elif size > LARGE:  # one sample
        word = "unscaled"
    chosen = shares[:, list(columns)] if columns else shares
    moving = chosen.std(axis=0) > _ROUNDING
    spread = (
        size * float(np.sqrt(np.mean(chosen.std(axis=0)[moving] ** 2))) if moving.any() else 0.0
    )
    mean = float(chosen.mean())
    mean = size * mean if abs(mean) > _ROUNDING else 0.0
    fix = _fix(symbol, values, columns, bool(moving.all()))
    return Scale(name, symbol, mean, spread, word, len(values), columns, fix)


def _fix(symbol: str, values: Array, columns: tuple[int, ...], moving: bool) -> str:
    """The line of code that scales, as a clause; it divides by no 0."""
    if 1 < values.max(initial=0.0) <= _BYTE and values.min(initial=0.0) >= 0 and values.ndim > 2:
        return f"{symbol} = {symbol} / {_BYTE} makes that 0 to 1"
    if values.ndim > 2:
        return f"{symbol} = ({symbol} - {symbol}.mean()) / {symbol}.std() makes that 0 and 1"
    part = f"{symbol}[:, {list(columns)}]" if columns else symbol
    std = f"{part}.std(axis=0)" + ("" if moving else ".clip(1e-8)")
    return f"{part} = ({part} - {part}.mean(axis=0)) / {std} makes that 0 and 1"
