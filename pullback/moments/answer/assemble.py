"""From the methods' results to one record a layer, each number with its badge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from pullback.errors import NotApplicableError
from pullback.moments.answer.record import METHODS, Answered, ByMethod, Kind, LayerForecast
from pullback.moments.law.exact import output_moments
from pullback.moments.law.finite_width import LogNorm
from pullback.moments.law.layers import Layer
from pullback.moments.law.theory import Theory, attempt
from pullback.moments.sampling.monte_carlo import Z95, Estimate, Sampled
from pullback.moments.sampling.trial import Trial

INDEPENDENCE = "infinite width; δ independent of the weights that carry it"
COUPLED = "infinite width; independent weights; the trace of ∂δ/∂z is carried"
EXACT = "independent weights, {}squared error"
LINEAR = "linear network, normal weights, squared error"
RELU = "ReLU, no biases; an output error that does not depend on the weights"
RESPONSE = "first order in depth/width; ln‖δ‖² normal for each sample"
INFINITE = "infinite width"
PART = "measured in draws of a part of the network that no law is known for"
WITHIN = 0.15  # of RMS δ: what a limit is off by beyond this is said
BEYOND = "the networks drawn overflow float64 here"


@dataclass
class _Table:
    """Values and reasons of one quantity while they are gathered."""

    values: dict[str, Answered]
    reasons: dict[str, str]

    def record(self) -> ByMethod[Answered]:
        return ByMethod(self.values, self.reasons)


class Assembly:
    """Gathers what each method says of each layer."""

    def __init__(
        self,
        theory: Theory,
        sampled: Mapping[int, Sampled],
        as_it_is: Trial | None,
        methods: tuple[str, ...],
        note: str,
    ) -> None:
        self.theory, self.sampled, self.methods, self.note = theory, sampled, methods, note
        self.as_it_is = as_it_is
        rough = theory.why_not is None and theory.assumptions
        self.kind: Kind = "approximation" if rough else "limit"
        self.independence = "; ".join((INDEPENDENCE, *(rough or ())))
        self.all = theory.setting.layers
        self.reasons = {m: f"not asked for; methods={methods}" for m in METHODS if m not in methods}

    def layers(self) -> tuple[LayerForecast, ...]:
        """One record a layer, input side first."""
        return tuple(map(self._layer, self.all))

    def _layer(self, layer: Layer) -> LayerForecast:
        at = layer.index
        z = attempt(lambda: self.theory.signal(at))
        pair = attempt(lambda: self.theory.covariances[at])
        chi_1, chi_q, activation = self._chi(layer)
        measured = self.sampled.get(at)
        if measured is not None and not np.isfinite(measured.z_square):
            measured = None
        tables = self._deltas(layer)
        logs = self._logs(at)
        return LayerForecast(
            index=at,
            name=layer.name,
            n_in=layer.n_in,
            n_out=layer.n_out,
            activation=activation,
            q=None if z is None else self._signal(z[0], at),
            z_mean=None if z is None else self._signal(z[1], at, around=False),
            covariance=None if pair is None else _limit(pair),
            chi_1=chi_1,
            chi_q=chi_q,
            z_ms_measured=None if measured is None else self._measured(measured.z_square),
            rms_measured=self._rms_as_it_is(at),
            delta_mean=tables["mean"].record(),
            delta_ms=tables["square"].record(),
            log_mean=logs["mean"].record(),
            log_var=logs["variance"].record(),
            log_quantiles=self._quantiles(at),
            dead=logs["dead"].record(),
        )

    def _rms_as_it_is(self, at: int) -> Answered | None:
        """RMS δ at a layer of a module with the weights that it has."""
        run = self.as_it_is
        if run is None:
            return None
        root = float(run.norms[0, at]) / self.all[at].n_out ** 0.5
        note = f"the module as it is, {run.samples} samples"
        return Answered(root, "as it is", "measured", note) if np.isfinite(root) else None

    def _chi(self, layer: Layer) -> tuple[Answered | None, Answered | None, str]:
        theory = self.theory
        if theory.setting.laws is None:
            return None, None, layer.activation
        found = attempt(lambda: theory.following.get(layer.index))
        if found is None:
            last = layer.index == len(self.all) - 1
            return None, None, theory.setting.structure.tail.label if last else "Identity()"
        step, reader = found
        assert step.moments is not None
        sigma = reader.n_in * theory.setting.weights[reader.index].variance
        average = theory.average
        return (
            _limit(sigma * average(step.moments.s2)),
            _limit(sigma * average(step.moments.m2_by_variance)),
            getattr(step.op, "label", ""),
        )

    def _deltas(self, layer: Layer) -> dict[str, _Table]:
        tables = {name: _Table({}, dict(self.reasons)) for name in ("mean", "square")}
        at, theory = layer.index, self.theory

        def add(name: str, method: str, value: Callable[[], Answered]) -> None:
            if method not in self.methods:
                return
            try:
                found = value()
            except NotApplicableError as reason:
                tables[name].reasons[method] = str(reason)
                return
            if np.isfinite(found):
                tables[name].values[method] = self._scored(found, name, at)
            else:
                tables[name].reasons[method] = "it is beyond float64's range here"

        for name in ("mean", "square"):
            add(name, "independence", lambda n=name: self._independent(at, n))  # type: ignore[misc]
            add(name, "coupled", lambda n=name: Answered(  # type: ignore[misc]
                theory.error("coupled", at, n), "coupled", self.kind, COUPLED
            ))  # fmt: skip
            add(name, "exact", lambda n=name: self._exact(layer, n))  # type: ignore[misc]
        add("square", "finite_width", lambda: Answered(
            theory.linear_squares[at], "finite_width", "law", LINEAR
        ))  # fmt: skip
        tables["mean"].reasons.setdefault(
            "finite_width", "it gives E δ² of linear networks and ln‖δ‖², not E δ"
        )
        if at in self.sampled:
            drawn = {"mean": self.sampled[at].mean, "square": self.sampled[at].square}
            for name, found in drawn.items():
                if np.isfinite(found.value):
                    tables[name].values["monte_carlo"] = self._measured(found)
                else:
                    tables[name].reasons["monte_carlo"] = BEYOND
        return tables

    def _independent(self, at: int, name: str) -> Answered:
        value, (_, error) = self.theory.error("independence", at, name), self.theory.measured(at)
        if error is None:
            return Answered(value, "independence", self.kind, self._at_this_width(at))
        around = _around(value, error) if name == "square" else None
        return Answered(value, "independence", "measured", PART, around)

    def _at_this_width(self, at: int) -> str:
        """The assumption, and by how much a network as narrow as this may be off."""
        loose, width = self.theory.looseness(at)
        if loose < WITHIN:
            return self.independence
        return f"{self.independence}; at this width ({width} units) expect RMS δ within {loose:.0%}"

    def _signal(self, value: float, at: int, around: bool = True) -> Answered:
        """A moment of z, with its interval if it was measured and one is known."""
        error, _ = self.theory.measured(at)
        if error is None:
            return _limit(value)
        interval = _around(value, error) if around else None
        return Answered(value, "forward", "measured", PART, interval)

    def _exact(self, layer: Layer, name: str) -> Answered:
        theory = self.theory
        last = theory.last_hidden
        place = len(self.all) - 1 - layer.index
        if place > 1:
            raise NotApplicableError(
                "the formula is for the last hidden layer and the output; for other layers see "
                "explain(), which has its extension by Stein's lemma"
            )
        if place == 0:
            values = output_moments(last)[0 if name == "mean" else 1]
        else:
            values = getattr(last, name)
        law = theory.last_hidden_is_law
        note = EXACT.format("" if name == "mean" else "normal, ") + ("" if law else "; z Gaussian")
        return Answered(theory.average(values), "exact", "law" if law else "limit", note)

    def _logs(self, at: int) -> dict[str, _Table]:
        names = ("mean", "variance", "dead")
        tables = {n: _Table({}, dict(self.reasons) | self._no_logs()) for n in names}
        norm, reason = self._log_norm(at)
        for name, table in tables.items():
            if norm is not None:
                kind: Kind = "law" if norm.law else "approximation"
                note = RELU if norm.law else RESPONSE
                value = Answered(getattr(norm, name), "finite_width", kind, note)
                table.values["finite_width"] = self._scored(value, f"log {name}", at)
            elif reason:
                table.reasons["finite_width"] = reason
        if at in self.sampled:
            found = self.sampled[at]
            tables["mean"].values["monte_carlo"] = self._measured(found.log_mean)
            tables["variance"].values["monte_carlo"] = self._measured(found.log_var)
            tables["dead"].values["monte_carlo"] = self._measured(found.dead)
        return tables

    def _no_logs(self) -> dict[str, str]:
        asked = [m for m in ("independence", "exact", "coupled") if m in self.methods]
        return dict.fromkeys(asked, "it gives moments of δ, not the law of ln‖δ‖²")

    def _log_norm(self, at: int) -> tuple[LogNorm | None, str | None]:
        if "finite_width" not in self.methods:
            return None, None
        try:
            return self.theory.log_norms[at], None
        except NotApplicableError as reason:
            return None, str(reason)

    def _quantiles(self, at: int) -> ByMethod[tuple[Answered, Answered, Answered]]:
        values: dict[str, tuple[Answered, Answered, Answered]] = {}
        reasons = dict(self.reasons) | self._no_logs()
        norm, reason = self._log_norm(at)
        if norm is not None:
            note = "normal for each sample, mixed by the data"
            low, half, high = (
                Answered(v, "finite_width", "approximation", note) for v in norm.quantiles
            )
            values["finite_width"] = low, half, high
        elif reason:
            reasons["finite_width"] = reason
        if at in self.sampled:
            low, half, high = (self._measured(v) for v in self.sampled[at].quantiles)
            values["monte_carlo"] = low, half, high
        return ByMethod(values, reasons)

    def _measured(self, found: Estimate | float) -> Answered:
        if isinstance(found, float):
            return Answered(found, "monte_carlo", "measured", self.note)
        note = self.note if found.interval else f"{self.note}; heavy tails, so no interval"
        return Answered(found.value, "monte_carlo", "measured", note, found.interval)

    def _scored(self, value: Answered, name: str, at: int) -> Answered:
        """The value with its distance from Monte Carlo, in standard errors."""
        if at not in self.sampled:
            return value
        found = {
            "mean": self.sampled[at].mean,
            "square": self.sampled[at].square,
            "log mean": self.sampled[at].log_mean,
        }.get(name)
        if found is None or not found.error:
            return value
        z = (value - found.value) / found.error
        return Answered(value, value.method, value.kind, value.assumption, value.interval, z)


def _around(value: float, error: float) -> tuple[float, float]:
    """The 95 % interval of a moment with this relative standard error."""
    return value * (1 - Z95 * error), value * (1 + Z95 * error)


def _limit(value: float) -> Answered:
    return Answered(value, "forward", "limit", INFINITE)
