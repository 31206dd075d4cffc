"""A fit as lmfit prints it, line by line, so that it can be laid beside one of lmfit's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pullback.plan.jacobian.operators import Array


def correlations(covariance: Array) -> Array:
    """The correlation (p, p) of a covariance; NaN where an unknown has no error.

    >>> correlations(np.array([[4.0, 1.0], [1.0, 1.0]])).tolist()
    [[1.0, 0.5], [0.5, 1.0]]
    """
    with np.errstate(all="ignore"):
        deviations = np.sqrt(np.diagonal(covariance))
        found = covariance / deviations / deviations[:, None]
    return np.where(np.isfinite(found), found, np.nan)


def report_of(
    entries: Sequence[Reported],
    y: Array,
    residuals: Array,
    rss: float,
    evaluations: int,
    warning: str,
    correlation: Array | None,
    least: float,
) -> str:
    """Statistics, unknowns and correlations of at least so much.

    Source: ``lmfit.printfuncs.fit_report``, whose headings and formats these are.
    """
    free = [each.name for each in entries if each.free]
    n, varied, width = residuals.size, len(free), max(len(each.name) for each in entries)
    lines = [
        "[[Fit Statistics]]",
        "    # fitting method   = leastsq",
        f"    # function evals   = {evaluations}",
        f"    # data points      = {n}",
        f"    # variables        = {varied}",
        f"    chi-square         = {number(rss).strip()}",
        f"    reduced chi-square = {number(rss / max(1, n - varied)).strip()}",
        *_criteria(y, residuals, rss, varied),
    ]
    if warning:
        lines.append(f"##  Warning: {warning}")
    lines.append("[[Variables]]")
    lines += [f"    {each.name}:{' ' * (width - len(each.name))} {each}" for each in entries]
    return "\n".join([*lines, *_correlated(correlation, free, least)])


@dataclass(frozen=True)
class Reported:
    """One number of a parameter."""

    name: str
    value: float
    start: float
    error: float
    free: bool

    def __str__(self) -> str:
        if not self.free:
            return f"{self.value: .7g} (fixed)"
        error = ""
        if np.isfinite(self.error):
            share = f" ({abs(self.error / self.value):.2%})" if self.value else ""
            error = f" +/-{number(self.error)}{share}"
        return f"{number(self.value)}{error} (init = {self.start:.7g})"


def _criteria(y: Array, residuals: Array, rss: float, varied: int) -> list[str]:
    """Akaike's and Bayes' criteria, and R² of the data as they are."""
    n = residuals.size
    with np.errstate(all="ignore"):
        likelihood = n * np.log(np.maximum(rss / n, 1e-250))
    spread = float(np.sum((y - y.mean()) ** 2))
    squared = 1 - float(residuals @ residuals) / max(spread, float(np.finfo(float).tiny))
    return [
        f"    Akaike info crit   = {number(float(likelihood) + 2 * varied).strip()}",
        f"    Bayesian info crit = {number(float(likelihood) + np.log(n) * varied).strip()}",
        f"    R-squared          = {number(squared).strip()}",
    ]


def _correlated(found: Array | None, names: Sequence[str], least: float) -> list[str]:
    if found is None:
        return []
    pairs = [
        (f"{names[one]}, {names[other]}", float(found[one, other]))
        for one in range(len(names))
        for other in range(one + 1, len(names))
        if abs(found[one, other]) > least
    ]
    if not pairs:
        return []
    width = max(len(pair) for pair, _ in pairs)
    return [
        f"[[Correlations]] (unreported correlations are < {least:.3f})",
        *(
            f"    C({pair}){' ' * (width - len(pair))} = {value:+.4f}"
            for pair, value in sorted(pairs, key=lambda each: -abs(each[1]))
        ),
    ]


def number(value: float) -> str:
    """A number in eleven places, as lmfit's ``gformat`` has it.

    >>> number(238.94212918), number(0.00055015643), number(-62.109319)
    (' 238.942129', ' 5.5016e-04', '-62.1093190')
    """
    if not np.isfinite(value):
        return f"{value:>11}"
    power = int(np.log10(abs(value))) if value else 0
    if abs(power) > 99:
        return f"{value: 11.3e}"
    if 0 < power < 8 or (power <= 0 and -power < 3):
        return f"{value: 11.{8 - max(power, 0)}f}"
    return f"{value: 11.4e}"
