"""Descent on the whole batch through SciPy: directions from several gradients, line searches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pullback.errors import positive, whole
from pullback.net.program import Array

ValueAndSlope = Callable[[Array], tuple[float, Array]]
AfterEach = Callable[[Any], None]  # takes SciPy's intermediate result; StopIteration ends


@dataclass(frozen=True)
class FullBatch(ABC):
    """Descends until the largest entry of the gradient is at most ``tolerance``.

    Each epoch is one iteration on all samples; a line search finds the rate.
    """

    tolerance: float = 1e-6

    def __post_init__(self) -> None:
        positive("tolerance", self.tolerance)

    @property
    @abstractmethod
    def method(self) -> str:
        """SciPy's name of the method."""

    @abstractmethod
    def options(self, iterations: int) -> dict[str, Any]:
        """What SciPy is told."""

    def minimise(
        self, function: ValueAndSlope, start: Array, iterations: int, after_each: AfterEach
    ) -> Any:
        """SciPy's result from a vector (all,), after at most so many iterations."""
        from scipy.optimize import minimize

        return minimize(
            function,
            start,
            jac=True,
            method=self.method,
            options=self.options(iterations),
            callback=lambda intermediate_result: after_each(intermediate_result),
        )


@dataclass(frozen=True)
class LBFGS(FullBatch):
    """Quasi-Newton steps from the last ``memory`` gradients (Liu, Nocedal 1989), by SciPy.

    >>> import numpy as np
    >>> import pullback as pb
    >>> net = pb.Network(pb.Linear(1, 1), loss=pb.SquaredError())
    >>> X = np.array([[0.0], [1.0], [2.0]])
    >>> result = pb.fit(net, X, 3 * X + 1, optimizer=LBFGS(), progress=False)
    >>> {name: value.round(3).tolist() for name, value in result.params.items()}
    {'weight': [[3.0]], 'bias': [1.0]}
    """

    memory: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("memory", self.memory)

    @property
    def method(self) -> str:
        return "L-BFGS-B"

    def options(self, iterations: int) -> dict[str, Any]:
        # the loss alone never ends it; nor does the number of passes through the network
        return {
            "maxiter": iterations,
            "maxfun": 2**31 - 1,
            "maxcor": self.memory,
            "gtol": self.tolerance,
            "ftol": 0.0,
        }


@dataclass(frozen=True)
class ConjugateGradient(FullBatch):
    """Conjugate directions (Polak, Ribière; Nocedal, Wright 2006, section 5.2), by SciPy.

    >>> ConjugateGradient(tolerance=1e-8).options(100)
    {'maxiter': 100, 'gtol': 1e-08}
    """

    @property
    def method(self) -> str:
        return "CG"

    def options(self, iterations: int) -> dict[str, Any]:
        return {"maxiter": iterations, "gtol": self.tolerance}
