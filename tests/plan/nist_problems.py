"""The nonlinear problems of NIST's Statistical Reference Datasets: all 27, as published.

Source: National Institute of Standards and Technology, itl.nist.gov/div898/strd/nls, a work of
the United States government, in the public domain. The files in ``nist/`` are NIST's own: model,
two starts, certified answer, certified standard deviations and data.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

import pullback as pb

FOLDER = Path(__file__).parent / "nist"
_DECAYS = "b1*exp(-b2*x) + b3*exp(-b4*x) + b5*exp(-b6*x)"
_PEAKS = "b1*exp(-b2*x) + b3*exp(-(x-b4)**2/b5**2) + b6*exp(-(x-b7)**2/b8**2)"
_CUBICS = "(b1+b2*x+b3*x**2+b4*x**3)/(1+b5*x+b6*x**2+b7*x**3)"
MODELS = {
    "Bennett5": "b1*(b2+x)**(-1/b3)",
    "BoxBOD": "b1*(1-exp(-b2*x))",
    "Chwirut1": "exp(-b1*x)/(b2+b3*x)",
    "Chwirut2": "exp(-b1*x)/(b2+b3*x)",
    "DanWood": "b1*x**b2",
    "Eckerle4": "b1/b2*exp(-0.5*((x-b3)/b2)**2)",
    "ENSO": "b1 + b2*cos(2*pi*x/12) + b3*sin(2*pi*x/12)"
    " + b5*cos(2*pi*x/b4) + b6*sin(2*pi*x/b4) + b8*cos(2*pi*x/b7) + b9*sin(2*pi*x/b7)",
    "Gauss1": _PEAKS,
    "Gauss2": _PEAKS,
    "Gauss3": _PEAKS,
    "Hahn1": _CUBICS,
    "Kirby2": "(b1+b2*x+b3*x**2)/(1+b4*x+b5*x**2)",
    "Lanczos1": _DECAYS,
    "Lanczos2": _DECAYS,
    "Lanczos3": _DECAYS,
    "MGH09": "b1*(x**2+x*b2)/(x**2+x*b3+b4)",
    "MGH10": "b1*exp(b2/(x+b3))",
    "MGH17": "b1 + b2*exp(-x*b4) + b3*exp(-x*b5)",
    "Misra1a": "b1*(1-exp(-b2*x))",
    "Misra1b": "b1*(1-(1+b2*x/2)**(-2))",
    "Misra1c": "b1*(1-(1+2*b2*x)**(-0.5))",
    "Misra1d": "b1*b2*x*(1+b2*x)**(-1)",
    "Nelson": "b1 - b2*x1*exp(-b3*x2)",  # of log y
    "Rat42": "b1/(1+exp(b2-b3*x))",
    "Rat43": "b1/(1+exp(b2-b3*x))**(1/b4)",
    "Roszman1": "b1 - b2*x - atan(b3/(x-b4))/pi",
    "Thurber": _CUBICS,
}


@dataclass(frozen=True)
class Problem:
    """One file."""

    name: str

    @cached_property
    def lines(self) -> list[str]:
        return (FOLDER / f"{self.name}.dat").read_text().splitlines()

    @cached_property
    def _answers(self) -> np.ndarray:
        """(p, 4): start 1, start 2, certified value, its standard deviation."""
        rows = [line.split("=")[1].split() for line in self.lines if re.match(r"\s*b\d+ =", line)]
        return np.array(rows, float)

    @property
    def names(self) -> list[str]:
        return [f"b{at}" for at in range(1, len(self._answers) + 1)]

    def start(self, which: int) -> dict[str, float]:
        return dict(zip(self.names, self._answers[:, which - 1].tolist(), strict=True))

    @property
    def certified(self) -> np.ndarray:
        return self._answers[:, 2]

    @property
    def deviations(self) -> np.ndarray:
        return self._answers[:, 3]

    @property
    def rss(self) -> float:
        (line,) = (line for line in self.lines if line.startswith("Residual Sum of Squares"))
        return float(line.split(":")[1])

    @cached_property
    def data(self) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """The predictors by name, and the response that the model is of."""
        (first, last) = map(
            int, re.search(r"Data +\(lines +(\d+) to +(\d+)\)", "\n".join(self.lines)).groups()
        )
        table = np.array([line.split() for line in self.lines[first - 1 : last]], float)
        y = np.log(table[:, 0]) if self.name == "Nelson" else table[:, 0]
        names = ["x"] if table.shape[1] == 2 else ["x1", "x2"]
        return dict(zip(names, table[:, 1:].T, strict=True)), y

    @cached_property
    def model(self) -> pb.Expression:
        axes = dict.fromkeys(self.data[0], "n") | dict.fromkeys(self.names, "")
        return pb.expr(MODELS[self.name], **axes)


PROBLEMS = {name: Problem(name) for name in MODELS}
