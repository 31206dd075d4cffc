"""``ClosedForm``: what is known of a product of Jacobians without multiplying it step by step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

import numpy as np

from pullback.closed.why import average_law
from pullback.errors import ConfigError, DataError, DTypeError, ShapeError, whole
from pullback.notebook import headline, mathml, paragraph, table

Array = np.ndarray[Any, np.dtype[Any]]
WIDTH = 80


@dataclass(frozen=True)
class Cost:
    """fma of one δ at the first layer, by the closed form and by the recursion.

    ``preparation`` is spent once. The counts are exact for products of matrices; an
    eigendecomposition counts 25 n³, a usual figure.
    """

    closed: int
    recursion: int
    preparation: int = 0

    @property
    def ratio(self) -> float:
        """How many times fewer fma than the recursion, once prepared."""
        return self.recursion / max(self.closed, 1)

    @property
    def pays_after(self) -> int | None:
        """For how many δ the preparation has paid for itself; None: never."""
        saved = self.recursion - self.closed
        return -(-self.preparation // saved) if saved > 0 else None

    def text(self) -> str:
        """One line."""
        line = f"{self.closed:,} fma a δ; the recursion {self.recursion:,}"
        if self.preparation:
            after = self.pays_after
            paid = "never pays" if after is None else f"pays after {max(after, 1):,} δ"
            line += f"; once before {self.preparation:,}, which {paid}"
        return line

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {**vars(self), "ratio": self.ratio, "pays_after": self.pays_after}


class ClosedForm(ABC):
    """Does the recursion of δ have a closed form, which one, and how good is it?

    ``exists`` and ``reason`` are the verdict, ``form`` the formula in words, ``method`` how it is
    evaluated, ``condition`` the condition number of what it stands on, ``error`` its relative
    error against the recursion on a random δ, ``cost`` its fma beside the recursion's.
    ``conditions`` lists what must hold for the answer to be right.
    """

    @property
    @abstractmethod
    def exists(self) -> bool:
        """Is there more than the product, which every network has?"""

    @property
    @abstractmethod
    def form(self) -> str:
        """The closed form and how it is evaluated, in one line."""

    @property
    @abstractmethod
    def method(self) -> str:
        """The key of the method: orthogonal, eigen, squaring, diagonal, product, region, …"""

    @property
    @abstractmethod
    def reason(self) -> str:
        """Why this form and no other, or why there is none; with the numbers that show it."""

    @property
    @abstractmethod
    def condition(self) -> float:
        """The condition number of what the form stands on; NaN where nothing is known yet."""

    @property
    @abstractmethod
    def cost(self) -> Cost:
        """What it costs beside the recursion."""

    @property
    @abstractmethod
    def error(self) -> float:
        """Relative error against the recursion on a random δ; NaN where there is no point."""

    @abstractmethod
    def latex(self) -> str:
        """The formula as LaTeX without delimiters."""

    @property
    @abstractmethod
    def last(self) -> int:
        """The layer at which ``delta_out`` comes in; the first one is 0."""

    @property
    @abstractmethod
    def outputs(self) -> int:
        """How many units the last layer has."""

    @abstractmethod
    def _delta(self, delta: Array, layer: int) -> Array:
        """δ (rows, units) at a layer."""

    @property
    def conditions(self) -> tuple[str, ...]:
        """What must hold for the answer to be right."""
        return ()

    def evaluate(self, delta_out: Any, layer: int) -> Array:
        """δ (…, units) at a layer for δ (…, outputs) at the last one, in float64.

        Layers of a network are its Linear blocks, input side first, and δ is that of z; layer t
        of a recurrence is its state h_t. Leading axes are several δ at a time.
        Raises ShapeError, DTypeError or DataError for a δ that does not fit, ConfigError for an
        unknown layer, NonFiniteError where float64 cannot hold the answer.
        """
        rows, shape = self._checked(delta_out, layer)
        found = self._delta(rows, layer)
        return found.reshape(*shape, found.shape[-1])

    def _checked(self, delta_out: Any, layer: Any) -> tuple[Array, tuple[int, ...]]:
        self._layer(layer)
        delta = as_floats("delta_out", delta_out)
        if delta.ndim == 0 or delta.shape[-1] != self.outputs:
            raise ShapeError(
                f"delta_out has shape {delta.shape}; expected (…, {self.outputs}): "
                "one entry for each unit of the last layer"
            )
        return delta.reshape(-1, delta.shape[-1]), delta.shape[:-1]

    def _layer(self, layer: Any) -> int:
        at = whole("layer", layer, 0, f" to {self.last}")
        if at > self.last:
            raise ConfigError(f"layer is {at}; expected 0 to {self.last}, input side first")
        return at

    @property
    def verdict(self) -> str:
        """One sentence."""
        if self.exists:
            return f"There is a closed form: {self.form}."
        return f"There is no closed form beyond the product: {self.form}."

    def why_not(self, forecast: Any = None) -> str:
        """Why there is no more than this, and what holds on average if a forecast is given.

        ``forecast`` is what ``pb.forecast`` returns for the same network.
        """
        lines = [self.reason]
        if forecast is not None:
            lines.append(average_law(forecast))
        return "\n".join(lines)

    def text(self) -> str:
        """The verdict, the reason, the numbers."""
        rows = [*self._numbers().items(), *(("holds if", each) for each in self.conditions)]
        lines = [*wrap(self.verdict, WIDTH), "", *wrap(self.reason, WIDTH), ""]
        for name, value in rows:
            lines += wrap(f"{name:<10} {value}", WIDTH, subsequent_indent=" " * 11)
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<{self.verdict}>"

    def __str__(self) -> str:
        return self.text()

    def _numbers(self) -> dict[str, str]:
        error, condition = self.error, self.condition
        return {
            "method": self.method,
            "condition": "not known yet" if np.isnan(condition) else f"{condition:.3g}",
            "error": "not measured" if np.isnan(error) else f"{error:.1e} against the recursion",
            "cost": self.cost.text(),
        }

    def _repr_html_(self) -> str:
        rows = table(["number", "value"], self._numbers().items())
        formula = f"<p>{mathml(self.latex())}</p>"
        return headline(self.verdict) + formula + paragraph(self.reason) + rows

    def to_dict(self) -> dict[str, Any]:
        """Plain data; a number that is not known is None."""
        return {
            "exists": self.exists,
            "form": self.form,
            "method": self.method,
            "latex": self.latex(),
            "reason": self.reason,
            "conditions": list(self.conditions),
            "condition": _plain(self.condition),
            "error": _plain(self.error),
            "cost": self.cost.to_dict(),
        }


def as_floats(name: str, value: Any) -> Array:
    """A finite float64 array; raises DTypeError or DataError."""
    try:
        array = np.asarray(value)
    except ValueError as fault:
        raise DTypeError(f"{name} is not an array of numbers: {fault}") from None
    if array.dtype.kind not in "fiub":
        raise DTypeError(f"{name} has dtype {array.dtype}; expected real numbers")
    held = array.astype(np.float64)
    if not np.isfinite(held).all():
        at = np.argwhere(~np.isfinite(held))[0].tolist()
        raise DataError(f"{name} holds {held[tuple(at)]}, first at {at}; expected finite numbers")
    return held


def _plain(number: float) -> float | None:
    return number if np.isfinite(number) else None
