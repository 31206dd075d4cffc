"""Every analytic method on one network, each with its reason where it does not apply."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any, Generic, TypeVar

import numpy as np

from pullback.calculus.quadrature import Array
from pullback.errors import NotApplicableError
from pullback.ir import Axis, Node
from pullback.moments.law.activation import convergence, moments
from pullback.moments.law.backward import Cotangent, DeltaMoments, backward, terms_needed
from pullback.moments.law.exact import LastHidden
from pullback.moments.law.finite_width import LogNorm, linear_squares, log_norms
from pullback.moments.law.flow import Flow
from pullback.moments.law.forward import Signal, Stage, affine_steps, every, following, forward
from pullback.moments.law.layers import Applied, Layer
from pullback.moments.law.narrow import looseness, narrowest
from pullback.moments.law.pairs import covariances
from pullback.moments.law.setting import Setting
from pullback.moments.law.units import Placed

T = TypeVar("T")


class once(Generic[T]):  # noqa: N801  # reads as a decorator
    """A cached property that remembers why it does not apply as well as its value."""

    def __init__(self, work: Callable[[Any], T]) -> None:
        self.work, self.__doc__ = work, work.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = f"_{name}"

    def __get__(self, owner: Any, kind: type) -> T:
        held = vars(owner)
        if self.name not in held:
            try:
                held[self.name] = self.work(owner), ""
            except NotApplicableError as reason:
                held[self.name] = None, str(reason)
        value, why = held[self.name]
        if why:
            raise NotApplicableError(why)
        return value  # type: ignore[no-any-return]


class Theory:
    """The analytic methods; each is worked out when first asked for.

    Asking for one that does not apply raises NotApplicableError with the reason.
    """

    def __init__(self, setting: Setting, seed: int = 0) -> None:
        self.setting, self.seed = setting, seed

    def average(self, values: Array) -> float:
        """The mean over the data of one value a case."""
        return self.setting.data.average(values)

    @property
    def is_chain(self) -> bool:
        """Is it a network of Linear layers, activations and skips over (batch, features)?"""
        return self.setting.laws is not None

    @once
    def flow(self) -> Flow:
        """The law of every equation.

        Raises NotApplicableError at the first without one, "no law is known for this network".
        """
        found = replace(self.setting.flow, seed=self.seed)
        try:
            with np.errstate(over="ignore", invalid="ignore"):
                _ = found.errors
        except NotApplicableError as reason:
            lacking = (why for each, why in found.without.items() if each not in found.passed)
            why = next(lacking, str(reason))
            raise NotApplicableError(f"no law is known for this network ({why})") from None
        return found

    @cached_property
    def why_not(self) -> str | None:
        """Why no law is known, as a clause; None where one is."""
        if self.is_chain:
            return None
        try:
            _ = self._errors
        except NotApplicableError as reason:
            return str(reason)
        return None

    @cached_property
    def assumptions(self) -> tuple[str, ...]:
        """What the laws of its equations take for granted, beside infinite width."""
        return () if self.is_chain else self.flow.assumptions

    def signal(self, at: int) -> tuple[float, float]:
        """Variance and mean of z at a layer, over the data and its places."""
        if self.is_chain:
            z = self.z[at]
            return self.average(z.variance), self.average(z.mean)
        layer = self.setting.layers[at]
        if layer.equation not in self.flow.known:
            raise NotApplicableError(f"no law is known for {layer.name}")
        law = self.flow.known[layer.equation].law
        return tuple(float(self.flow.average(v).mean()) for v in (law.variance, law.mean))  # type: ignore[return-value]

    def error(self, method: str, at: int, name: str) -> float:
        """E δ or E δ² at a layer by a method, ``name`` "mean" or "square"."""
        if self.is_chain:
            found = self.independence if method == "independence" else self.coupled
            return self.average(getattr(found[at], name))
        if method == "coupled":
            raise NotApplicableError(
                "the trace of ∂δ/∂z is carried along Linear layers, activations and skips over "
                f"(batch, features) only ({self.setting.why})"
            )
        error = self._errors[at]
        return float(self.flow.average(error.mean if name == "mean" else error.second).mean())

    @once
    def _errors(self) -> list[Placed]:
        flow = self.flow
        if missing := [x for x in self.setting.layers if x.equation not in flow.errors]:
            lacking = (why for each, why in flow.without.items() if each not in flow.passed)
            reason = next(lacking, f"{missing[0].name} has no error")
            raise NotApplicableError(f"no law is known for this network ({reason})")
        return [flow.errors[x.equation] for x in self.setting.layers]

    def measured(self, at: int) -> tuple[float | None, float | None]:
        """The relative Monte Carlo errors of E z² and E δ² at a layer; None of what has a law."""
        if self.is_chain or self.why_not is not None:
            return None, None
        equation = self.setting.layers[at].equation
        law = self.flow.passed.get(equation)
        return getattr(law, "error", None), self.flow.measured.get(equation)

    def looseness(self, at: int) -> tuple[float, int]:
        """By which share RMS δ at a layer may differ from its limit, and the narrowest width.

        0 for a chain, whose methods say themselves what width does.
        """
        if self.is_chain:
            return 0.0, 1
        return self._looseness.get(self.setting.layers[at].equation, 0.0), narrowest(self.flow)

    @cached_property
    def _looseness(self) -> dict[Node, float]:
        return looseness(self.flow)

    def profile(self, at: int) -> tuple[tuple[Axis, ...], Array]:
        """RMS δ at each place of a layer; raises NotApplicableError where it has none."""
        error = self._errors[at]
        return error.kept, np.sqrt(self.flow.average(error.second))

    @once
    def steps(self) -> tuple[Stage, ...]:
        """The forward recursion."""
        data = self.setting.data
        start = Signal(data.mean, data.square, gaussian=False)
        return forward(self.setting.structure.ops, start, self.setting.weights)

    @once
    def z(self) -> tuple[Signal, ...]:
        """The law of z at each Linear."""
        return tuple(step.after for step in affine_steps(self.steps))

    @cached_property
    def _start(self) -> Cotangent:
        terms = terms_needed(self.steps)
        return self.setting.output.start(self.steps[-1].after, self.setting.data, terms)

    def _backward(self, coupled: bool) -> dict[int, DeltaMoments]:
        return backward(self.steps, self._start, self.setting.weights, coupled)

    @once
    def independence(self) -> dict[int, DeltaMoments]:
        """δ without the trace."""
        return self._backward(coupled=False)

    @once
    def coupled(self) -> dict[int, DeltaMoments]:
        """δ with the trace."""
        if any(w.entries == "orthogonal" for w in self.setting.weights):
            raise NotApplicableError("Stein's lemma needs independent weights, not orthogonal ones")
        return self._backward(coupled=True)

    @once
    def infinite(self) -> dict[int, DeltaMoments]:
        """The better of the two at infinite width."""
        return attempt(lambda: self.coupled) or self.independence

    @once
    def last_hidden(self) -> LastHidden:
        """The terms of the last hidden layer under squared error."""
        setting = self.setting
        kappa = setting.output.squared
        if kappa is None:
            raise NotApplicableError("the exact formula is for squared errors of linear outputs")
        if any(w.entries == "orthogonal" for w in setting.weights):
            raise NotApplicableError("the exact formula is for independent weights")
        chain = setting.structure.chain()
        if len(chain) < 2:
            raise NotApplicableError("there is no hidden layer")
        affine, activation = chain[-2]
        z = self.z[-2]
        at = moments(activation.function, z.mean, z.variance)
        law, outputs = setting.weights[-1], chain[-1][0].n_out
        data = setting.data.minus(law.bias_mean, outputs)
        return LastHidden(at, affine.n_out, outputs, law, data, kappa)

    @property
    def last_hidden_is_law(self) -> bool:
        """One Linear with normal weights below: its z is Gaussian at any width."""
        return len(self.setting.weights) == 2 and self.setting.weights[0].entries == "normal"

    @once
    def log_norms(self) -> dict[int, LogNorm]:
        """ln‖δ‖² at each Linear at finite width."""
        s = self.setting
        return log_norms(
            s.structure,
            self.steps,
            s.weights,
            s.output,
            s.data,
            s.target,
            self.infinite,
            self.independence,
            self.seed,
        )

    @once
    def linear_squares(self) -> list[float]:
        """E δ² of a linear network at finite width."""
        s = self.setting
        kappa = s.output.squared
        if kappa is None:
            raise NotApplicableError("E δ² at finite width is known for squared errors only")
        squares = [s.data.average(z.square) for z in self.z]
        y = s.data.average(s.data.target_square) * s.structure.outputs
        return linear_squares(s.structure, s.weights, squares, y, kappa)

    @once
    def covariances(self) -> dict[int, float]:
        """Cov(z, z') across two inputs of the mean norm."""
        return covariances(self.steps, self.setting.data.overlap, self.setting.weights)

    @once
    def following(self) -> dict[int, tuple[Stage, Layer]]:
        """For each Linear: the activation on its z, and the Linear that reads it."""
        return following(self.steps)

    @cached_property
    def quadrature_error(self) -> float:
        """The largest relative change of a moment when the quadrature is refined once more."""
        errors = [
            convergence(step.op.function, step.before.mean, step.before.variance)
            for step in every(self.steps)
            if isinstance(step.op, Applied)
        ]
        return max(errors, default=0.0)


def attempt(found: Callable[[], T]) -> T | None:
    """What is found, or None where the method does not apply."""
    try:
        return found()
    except NotApplicableError:
        return None
