"""Every error that pullback raises on purpose: what it is about, what was expected, what came."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable
from math import inf, nan
from numbers import Integral, Real
from typing import Any

_LONGEST_SHOWN = 80  # characters of a value in a message
_LONGEST_NAME = 100  # characters of a name that may be a slip of another


def _printable(text: str) -> str:
    """The text as any terminal and file takes it: a lone surrogate has no bytes."""
    return text.encode("utf-8", "backslashreplace").decode()


class PullbackError(Exception):
    """The base of every error of ours; its text is one sentence that names the fix."""


class AxisError(PullbackError, ValueError):
    """A node whose axes do not fit together."""


class ShapeError(PullbackError, ValueError):
    """An array whose shape is not the one that its named axes ask for."""


class DTypeError(PullbackError, TypeError):
    """An array whose type of number is not float32 or float64."""


class DataError(PullbackError, ValueError):
    """Data that cannot be learnt from: empty, not finite, or with labels out of range."""


class StorageError(DataError, OSError):
    """A file that cannot be written, or that another process is using; it is as it was.

    In training ``result`` holds what was learnt so far, and ``params`` its parameters.
    """

    params: Any = None
    result: Any = None


class UnknownNameError(PullbackError, LookupError):
    """A name that nobody knows; the text offers the nearest one."""


class ExpressionError(PullbackError, ValueError):
    """A text that is not an expression of ours, with a caret under the place, or under two."""

    def __init__(
        self, message: str, text: str = "", column: int | None = None, later: int | None = None
    ) -> None:
        self.text, self.column = text, column
        if column is not None:
            carets = " " * len(_printable(text[:column])) + "^"
            if later is not None:
                carets = carets.ljust(len(_printable(text[:later]))) + "^"
            message = f"{message}\n  {_printable(text)}\n  {carets}"
        super().__init__(message)


class MisfitError(ExpressionError, AxisError):
    """A text in which axes do not fit together, with a caret under the place."""


class ConfigError(PullbackError, ValueError):
    """An option, a network file or a command line that does not make sense."""


class ConversionError(PullbackError, ValueError):
    """A model of another library with a part that has no counterpart here, named with its place."""


class NotApplicableError(PullbackError, LookupError):
    """A method asked about what it says nothing of, with the reason."""


class SingularError(PullbackError, ArithmeticError):
    """A system of equations that has no single answer; a damping would give it one."""


class ProcessError(PullbackError, RuntimeError):
    """Another of several processes that train together is gone; this one cannot go on alone."""


class NonFiniteError(PullbackError, ArithmeticError):
    """A NaN or an infinity, with the first equation in which it appeared.

    In training ``params`` holds the parameters as they were before that epoch, and ``result`` the
    result of the epochs before it.
    """

    params: Any = None
    result: Any = None


class PullbackWarning(UserWarning):
    """Something is done as most people mean it, but not as another library would do it."""


def warn(message: str) -> None:
    """Warn at the line outside of pullback that led here; Python shows it once for each line."""
    depth, frame = 1, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == "pullback":
        depth, frame = depth + 1, frame.f_back
    warnings.warn(message, PullbackWarning, stacklevel=depth + 1)


def shown(value: object) -> str:
    """A value as messages show it: numbers of NumPy as plain ones, long ones cut short.

    >>> import numpy as np
    >>> shown(np.float64(0.5)), shown("tanh"), shown(10**5000)
    ('0.5', "'tanh'", 'a number of more than 4,300 digits')
    """
    single = type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0
    try:
        text = repr(value.item() if single else value)  # type: ignore[attr-defined]
    except ValueError:  # Python writes out no number that is longer
        return "a number of more than 4,300 digits"
    except RecursionError:
        return f"a {type(value).__name__} nested too deeply"
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…"


def require(name: str, value: object, kind: type, expected: str) -> None:
    """Raise ConfigError unless a value is of the kind that is expected.

    >>> require("loss", int, float, "a loss such as CrossEntropy()")
    Traceback (most recent call last):
    pullback.errors.ConfigError: loss is the class int; expected a loss such as CrossEntropy()
    """
    if not isinstance(value, kind):
        found = f"the class {value.__name__}" if isinstance(value, type) else shown(value)
        raise ConfigError(f"{name} is {found}; expected {expected}")


def whole(name: str, value: object, least: int = 1, also: str = "") -> int:
    """The value if it is a whole number of at least ``least``; raises ConfigError otherwise."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ConfigError(f"{name} is {shown(value)}; expected a whole number from {least}{also}")
    return int(value)


def positive(name: str, value: object) -> float:
    """The value if it is a finite number above 0; raises ConfigError otherwise."""
    number = _number(value)
    if not 0 < number < inf:
        raise ConfigError(f"{name} is {shown(value)}; expected a number above 0")
    return number


def from_zero(name: str, value: object) -> float:
    """The value if it is a finite number from 0; raises ConfigError otherwise."""
    number = _number(value)
    if not 0 <= number < inf:
        raise ConfigError(f"{name} is {shown(value)}; expected a number from 0")
    return number


def finite(name: str, value: object) -> float:
    """The value if it is a finite number; raises ConfigError otherwise."""
    number = _number(value)
    if not -inf < number < inf:
        raise ConfigError(f"{name} is {shown(value)}; expected a number")
    return number


def _number(value: object) -> float:
    """The value as a float; nan for what is no number, or none that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return nan
    try:
        return float(value)
    except OverflowError:
        return nan


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a misspelt name, or the list of the known ones.

    >>> nearest("tahn", ["tanh", "relu"])
    "did you mean 'tanh'?"
    >>> nearest("det", ["dot", "relu"])
    'known: dot, relu'
    """
    names = sorted(known)
    close = closest(name, names)
    if close is not None:
        return f"did you mean {close!r}?"
    return f"known: {', '.join(names)}" if names else "no name is known here"


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name of which this one is a slip of the fingers, if there is one.

    A short name with another letter in it is another word: ``det`` is not ``dot``. Numbers are no
    slips: another number is offered only where all the letters are right.

    >>> closest("matrixfree", ["matrix_free"]), closest("hee", ["he"]), closest("inv", ["sin"])
    ('matrix_free', 'he', None)
    """
    meant = _plain(name)
    best: tuple[int, bool, str] | None = None
    for each in sorted(known):
        other = _plain(each)
        slips = _slips(meant, other) if _comparable(meant, other) else _LONGEST_NAME
        if slips <= _allowed(meant, other):
            found = slips, sorted(meant) != sorted(other), each  # swapped letters come first
            best = min(best or found, found)
    return best[2] if best else None


def _comparable(one: str, other: str) -> bool:
    """Of much the same length, with the same numbers in it or the same letters."""
    alike = _only(str.isdigit, one) == _only(str.isdigit, other)
    letters = _only(str.isalpha, one)
    alike = alike or (letters == _only(str.isalpha, other) != "")
    return alike and abs(len(one) - len(other)) <= 2 and len(one) <= _LONGEST_NAME


def _allowed(one: str, other: str) -> int:
    """How many slips still make the same word."""
    longer = max(len(one), len(other))
    if sorted(one) == sorted(other) or longer >= 8:
        return 2
    changed_only = len(one) == len(other) and _only(str.isalpha, one) != _only(str.isalpha, other)
    return int(longer >= (5 if changed_only else 2))


def _plain(name: str) -> str:
    """Letters and digits alone, all of them small."""
    return "".join(each for each in name.casefold() if each.isalnum())


def _only(kind: Callable[[str], bool], name: str) -> str:
    return "".join(filter(kind, name))


def _slips(one: str, other: str) -> int:
    """Letters changed, left out, added, or swapped with the next (Damerau 1964)."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        earlier, before, row = before, row, [i]
        for j, b in enumerate(other, start=1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, earlier[j - 2] + 1)
            row.append(cost)
    return row[-1]


def unknown(kind: str, name: object, known: Iterable[str]) -> UnknownNameError:
    """The error for a name of some kind, or what came in its place, that is not a known one.

    >>> str(unknown("pace", 5, ["step", "watch"]))
    'unknown pace 5: known: step, watch'
    """
    return UnknownNameError(f"unknown {kind} {shown(name)}: {nearest(str(name), known)}")
