"""``LeastSquares``: the result of a fit, with its uncertainty."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pullback.net.vector import ravel
from pullback.notebook import headline, paragraph, table
from pullback.plan.jacobian.operators import Array
from pullback.plan.uses.fit_report import Reported, correlations, report_of


@dataclass(frozen=True, repr=False)
class LeastSquares:
    """The unknowns that were found, and how well they are known.

    ``covariance`` is s² (Jᵀ J)⁻¹ with s² = rss / ``freedom``, unknowns in the order of ``params``:
    an approximation that takes the model as linear about the answer and the errors as independent
    with one variance. ``freedom`` is the number of data less that of the unknowns, as far as the
    data determine them. It is infinite for the unknowns that they do not, which ``warning`` names,
    and None where there are no more data than unknowns. ``params`` holds a network's frozen
    parameters, and what is fixed, as well, which have no error; an unknown at a bound has NaN, and
    the others' errors are as if it were known. ``rss`` is what was minimised: the sum of the
    weighted squares, or of a robust loss. ``residuals`` (n) are y − model itself, and ``tries`` the
    ``rss`` from each start where there were several, infinite where the model is not finite.
    """

    params: dict[str, Array]
    rss: float
    residuals: Array
    covariance: Array | None
    iterations: int
    evaluations: int
    converged: bool
    reason: str
    freedom: int = 0
    warning: str = ""
    frozen: tuple[str, ...] = ()
    start: Mapping[str, Array] = field(default_factory=dict)
    target: Array = field(default_factory=lambda: np.zeros(0))
    tries: tuple[float, ...] = ()

    @classmethod
    def of(
        cls,
        params: Mapping[str, Array],
        shape: Array | None,
        variance: float,
        **facts: Any,
    ) -> LeastSquares:
        """The record, with the covariance: (Jᵀ J)⁻¹, where it is known, times the variance."""
        covariance = None
        if shape is not None:
            known = np.isfinite(shape)  # ∞ stays ∞ where there is no variance at all
            covariance = np.where(known, variance * np.where(known, shape, 0), shape)
        values = {name: value[()] for name, value in params.items()}
        return cls(values, covariance=covariance, **facts)

    @property
    def standard_errors(self) -> dict[str, Array] | None:
        """The square roots of the covariance's diagonal, by name; None where there is none."""
        if self.covariance is None:
            return None
        unravel = ravel({n: v for n, v in self.params.items() if n not in self.frozen})[1]
        errors = unravel(np.sqrt(np.diagonal(self.covariance)))
        return {name: value[()] for name, value in errors.items()}

    @property
    def residual_deviation(self) -> float:
        """s = √(rss / freedom); NaN where there are no more data than unknowns."""
        return float(np.sqrt(self.rss / self.freedom)) if self.freedom > 0 else float("nan")

    @property
    def verdict(self) -> str:
        """One sentence."""
        if not self.converged:
            return f"Not converged: {self.reason}; the sum of squares is {self.rss:.6g}."
        steps = f"{self.iterations} iteration{'' if self.iterations == 1 else 's'}"
        warning = f"; but {self.warning}" if self.warning else ""
        return f"Converged in {steps}: {self.reason}{warning}."

    def text(self) -> str:
        """The verdict, and each unknown with its standard error; ``report`` is lmfit's form."""
        errors = self.standard_errors or {}
        lines = [self.verdict, f"sum of squares {self.rss:.8g}, s = {self.residual_deviation:.4g}"]
        for name, value in self.params.items():
            if np.ndim(value):
                lines.append(f"  {name}: an array {np.shape(value)}")
            else:
                lines.append(f"  {name} = {float(value):.10g}{self._error_of(name, errors)}")
        if self.tries:
            lines.append(
                f"from {len(self.tries)} starts: {', '.join(f'{each:.6g}' for each in self.tries)}"
            )
        return "\n".join(lines)

    def _error_of(self, name: str, errors: Mapping[str, Array]) -> str:
        if name in self.frozen:
            return " (fixed)"
        if name not in errors:
            return ""
        error = float(errors[name])
        return " (at a bound)" if np.isnan(error) else f" ± {error:.3g}"

    @property
    def correlations(self) -> Array | None:
        """The covariance over the standard errors (p, p); NaN where they are not known."""
        return None if self.covariance is None else correlations(self.covariance)

    def report(self, min_correl: float = 0.1) -> str:
        """What lmfit's ``fit_report`` prints, and why it ended if it found no minimum."""
        return report_of(
            list(self._reported()),
            self.target,
            self.residuals,
            self.rss,
            self.evaluations,
            self.warning if self.converged else self.reason,
            self.correlations,
            min_correl,
        )

    def _reported(self) -> Iterator[Reported]:
        errors = self.standard_errors or {}
        for name, value in self.params.items():
            held, first = np.asarray(value), np.asarray(self.start[name])
            known = np.asarray(errors.get(name, np.full(held.shape, np.nan)))
            for place in np.ndindex(held.shape):
                label = f"{name}[{', '.join(map(str, place))}]" if place else name
                found, begun, error = (float(each[place]) for each in (held, first, known))
                yield Reported(label, found, begun, error, name not in self.frozen)

    def __repr__(self) -> str:
        return f"<least squares: {self.verdict}>"

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        errors = self.standard_errors or {}
        rows = [
            (name, f"array {np.shape(value)}", "")
            if np.ndim(value)
            else (name, f"{float(value):.10g}", f"{float(errors.get(name, np.nan)):.3g}")
            for name, value in self.params.items()
        ]
        squares = f"Sum of squares {self.rss:.8g}, s = {self.residual_deviation:.4g}."
        found = table(["unknown", "value", "standard error"], rows)
        return headline(self.verdict) + found + paragraph(squares)

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        errors = self.standard_errors
        return {
            "params": {name: np.asarray(value).tolist() for name, value in self.params.items()},
            "standard_errors": errors
            and {name: np.asarray(value).tolist() for name, value in errors.items()},
            "rss": self.rss,
            "iterations": self.iterations,
            "evaluations": self.evaluations,
            "converged": self.converged,
            "reason": self.reason,
            "warning": self.warning,
        }
