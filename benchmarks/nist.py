"""NIST's 27 nonlinear problems from both starts: the digits of the certified answer that are found.

    python benchmarks/nist.py [--json digits.json]

Beside SciPy's ``least_squares`` with the same residuals and Jacobian ("lm" and "trf", tolerances of
1e-15) and lmfit's ``minimize`` as it comes, where lmfit is installed. Digits are −log10 of the
largest relative error of an unknown, at most the 11 that are certified; — is none at all.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import least_squares

import pullback as pb
from pullback.plan.uses.residuals import ExpressionResiduals

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "plan"))
from nist_problems import PROBLEMS, Problem


def digits(found: Any, certified: np.ndarray) -> float:
    """Digits that all unknowns have, from 0 to 11."""
    with np.errstate(all="ignore"):
        error = np.abs(np.asarray(found) - certified) / np.abs(certified)
    worst = float(np.max(np.where(np.isfinite(error), error, 1)))
    return float(np.clip(-np.log10(max(worst, 1e-11)), 0, 11))


def by_scipy(residuals: ExpressionResiduals, method: str) -> np.ndarray:
    return least_squares(
        lambda v: -residuals.at(v),
        residuals.start,
        lambda v: residuals.slopes(v).columns().J,
        method=method,
        x_scale=1.0 if method == "lm" else "jac",
        xtol=1e-15,
        ftol=1e-15,
        gtol=1e-15,
        max_nfev=20000,
    ).x


def by_lmfit(problem: Problem, residuals: ExpressionResiduals, which: int) -> np.ndarray:
    import lmfit

    first = lmfit.Parameters()
    for name, value in problem.start(which).items():
        first.add(name, value=value)
    found = lmfit.minimize(
        lambda p: -residuals.at(np.array([p[name].value for name in p])), first
    ).params
    return np.array([found[name].value for name in found])


def ways(problem: Problem, which: int) -> dict[str, Callable[[], Any]]:
    data, y = problem.data
    start = problem.start(which)
    residuals = ExpressionResiduals(problem.model, data, y, start)
    found: dict[str, Callable[[], Any]] = {
        "pullback": lambda: list(
            pb.least_squares(problem.model, data, y, start=start).params.values()
        ),
        "scipy lm": lambda: by_scipy(residuals, "lm"),
        "scipy trf": lambda: by_scipy(residuals, "trf"),
    }
    if importlib.util.find_spec("lmfit"):
        found["lmfit"] = lambda: by_lmfit(problem, residuals, which)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows = []
    for name, problem in PROBLEMS.items():
        for which in (1, 2):
            row: dict[str, Any] = {"problem": name, "start": which}
            for way, run in ways(problem, which).items():
                try:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        row[way] = round(digits(run(), problem.certified), 1)
                except (ValueError, np.linalg.LinAlgError):  # not finite on the way
                    row[way] = 0.0
            rows.append(row)
            texts = (f"{way} {row[way] or '—':>5}" for way in list(row)[2:])
            print(f"{name:9} {which}  " + "  ".join(texts), flush=True)
    for way in list(rows[0])[2:]:
        some = [row[way] for row in rows]
        print(
            f"{way:9} {sum(d >= 4 for d in some)} of {len(rows)} with 4 digits or more, "
            f"{sum(d >= 8 for d in some)} with 8; median {np.median(some):.1f}"
        )
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
