"""Every error that pullback raises on purpose: what it is about, what was expected, what came."""

from __future__ import annotations

import difflib
import sys
import warnings
from collections.abc import Iterable
from math import inf, nan
from numbers import Integral, Real
from typing import Any


class PullbackError(Exception):
    """The base of every error of ours; its text is one sentence that names the mend."""


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
    """A text that is not an expression of ours, with a caret under the place."""

    def __init__(self, message: str, text: str = "", column: int | None = None) -> None:
        self.text, self.column = text, column
        if column is not None:
            message = f"{message}\n  {text}\n  {' ' * column}^"
        super().__init__(message)


class ConfigError(PullbackError, ValueError):
    """An option, a network file or a command line that does not make sense."""


class ConversionError(PullbackError, ValueError):
    """A model of another library with a part that has no counterpart here, named with its place."""


class NotApplicableError(PullbackError, LookupError):
    """A method asked about what it says nothing of, with the reason."""


class SingularError(PullbackError, ArithmeticError):
    """A system of equations that has no single answer; a damping would give it one."""


class NonFiniteError(PullbackError, ArithmeticError):
    """A NaN or an infinity, with the first equation in which it appeared.

    In training ``params`` holds the parameters as they were before that epoch.
    """

    params: Any = None


class PullbackWarning(UserWarning):
    """Something is done as most people mean it, but not as another library would do it."""


def warn(message: str) -> None:
    """Warn at the line outside of pullback that led here; Python shows it once for each line."""
    depth, frame = 1, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == "pullback":
        depth, frame = depth + 1, frame.f_back
    warnings.warn(message, PullbackWarning, stacklevel=depth + 1)


def require(name: str, value: object, kind: type, expected: str) -> None:
    """Raise ConfigError unless a value is of the kind that is expected.

    >>> require("loss", int, float, "a loss such as CrossEntropy()")
    Traceback (most recent call last):
    pullback.errors.ConfigError: loss is the class int; expected a loss such as CrossEntropy()
    """
    if not isinstance(value, kind):
        found = f"the class {value.__name__}" if isinstance(value, type) else repr(value)
        raise ConfigError(f"{name} is {found}; expected {expected}")


def whole(name: str, value: object, least: int = 1, also: str = "") -> int:
    """The value if it is a whole number of at least ``least``; raises ConfigError otherwise."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ConfigError(f"{name} is {value!r}; expected a whole number from {least}{also}")
    return int(value)


def positive(name: str, value: object) -> float:
    """The value if it is a finite number above 0; raises ConfigError otherwise."""
    number = float(value) if isinstance(value, (int, float, Real)) else nan
    if isinstance(value, bool) or not 0 < number < inf:
        raise ConfigError(f"{name} is {value!r}; expected a number above 0")
    return number


def from_zero(name: str, value: object) -> float:
    """The value if it is a finite number from 0; raises ConfigError otherwise."""
    number = float(value) if isinstance(value, (int, float, Real)) else nan
    if isinstance(value, bool) or not 0 <= number < inf:
        raise ConfigError(f"{name} is {value!r}; expected a number from 0")
    return number


def finite(name: str, value: object) -> float:
    """The value if it is a finite number; raises ConfigError otherwise."""
    number = float(value) if isinstance(value, (int, float, Real)) else nan
    if isinstance(value, bool) or not -inf < number < inf:
        raise ConfigError(f"{name} is {value!r}; expected a number")
    return number


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a misspelt name, or the list of the known ones.

    >>> nearest("tahn", ["tanh", "relu"])
    "did you mean 'tanh'?"
    >>> nearest("xyz", ["relu", "tanh"])
    'known: relu, tanh'
    """
    names = sorted(known)
    folded = {each.lower(): each for each in reversed(names)}
    # letters in the wrong order are the commonest slip
    swapped = [each for each in folded if sorted(each) == sorted(name.lower())]
    close = swapped or difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.6)
    if close:
        return f"did you mean {folded[close[0]]!r}?"
    return f"known: {', '.join(names)}" if names else "nothing is known here"


def unknown(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """The error for a name of some kind that is not among the known ones."""
    return UnknownNameError(f"unknown {kind} {name!r}: {nearest(name, known)}")
