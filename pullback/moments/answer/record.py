"""What a forecast is made of: numbers that know their method, and layers that hold them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from pullback.errors import NotApplicableError, unknown
from pullback.notebook import headline, table

METHODS = ("independence", "exact", "coupled", "finite_width", "monte_carlo")
Kind = Literal["law", "limit", "approximation", "measured"]
T = TypeVar("T")


class Answered(float):
    """A number with the method that it comes from, whether it is a law, and its assumption.

    ``interval`` is its 95 % interval if it was measured, ``z`` how many standard errors of Monte
    Carlo it lies away from what was measured.

    >>> half = Answered(0.5, "exact", "law", "normal weights")
    >>> half + 1, half.kind
    (1.5, 'law')
    """

    method: str
    kind: Kind
    assumption: str
    interval: tuple[float, float] | None
    z: float | None

    def __new__(
        cls,
        value: float,
        method: str,
        kind: Kind,
        assumption: str,
        interval: tuple[float, float] | None = None,
        z: float | None = None,
    ) -> Answered:
        self = super().__new__(cls, value)
        self.method, self.kind, self.assumption = method, kind, assumption
        self.interval, self.z = interval, z
        return self

    def __getnewargs__(self) -> tuple[Any, ...]:
        return float(self), self.method, self.kind, self.assumption, self.interval, self.z

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "value": float(self) if math.isfinite(self) else None,
            "method": self.method, "kind": self.kind,
            "assumption": self.assumption, "interval": self.interval, "z": self.z,
        }  # fmt: skip


@dataclass(frozen=True)
class ByMethod(Mapping[str, T], Generic[T]):
    """One quantity by each method; a method that does not apply raises its reason.

    >>> ByMethod({}, {"exact": "it is for the last hidden layer"})["exact"]
    Traceback (most recent call last):
    pullback.errors.NotApplicableError: exact: it is for the last hidden layer
    """

    held: dict[str, T]
    reasons: dict[str, str] = field(default_factory=dict)

    def __getitem__(self, method: str) -> T:
        if method in self.held:
            return self.held[method]
        if method in self.reasons:
            raise NotApplicableError(f"{method}: {self.reasons[method]}")
        raise unknown("method", method, METHODS)

    def __contains__(self, method: object) -> bool:
        return method in self.held

    def __iter__(self) -> Iterator[str]:
        return iter(self.held)

    def __len__(self) -> int:
        return len(self.held)

    def get(self, method: str, default: Any = None) -> Any:
        """The value, or the default where the method does not apply."""
        return self.held.get(method, default)


@dataclass(frozen=True)
class LayerForecast:
    """The law of one layer's z and δ; δ is of one sample, over its units and the data.

    ``n_out`` are the numbers of z for a sample, ``n_in`` those that go into one of them.
    ``q`` is the variance of z and ``z_mean`` its mean, both at infinite width and over the data;
    ``covariance`` is that of z across two different samples. ``chi_1`` is the factor by which
    E‖δ‖² grows going backward through this layer's activation, ``chi_q`` = ∂q⁺/∂q.
    ``delta_mean`` = E δ, ``delta_ms`` = E δ²; ``log_mean``, ``log_var`` and ``log_quantiles`` (10,
    50, 90 %) are of ln‖δ‖² of one sample. ``rms_measured`` is RMS δ of a module as it is.
    """

    index: int
    name: str
    n_in: int
    n_out: int
    activation: str
    q: Answered | None
    z_mean: Answered | None
    covariance: Answered | None
    chi_1: Answered | None
    chi_q: Answered | None
    z_ms_measured: Answered | None
    rms_measured: Answered | None
    delta_mean: ByMethod[Answered]
    delta_ms: ByMethod[Answered]
    log_mean: ByMethod[Answered]
    log_var: ByMethod[Answered]
    log_quantiles: ByMethod[tuple[Answered, Answered, Answered]]
    dead: ByMethod[Answered]
    verdict: str = "healthy"

    @property
    def rms(self) -> Answered:
        """The root mean square of δ by the best method that applies, Monte Carlo aside."""
        best = self.best
        return Answered(best**0.5, best.method, best.kind, best.assumption)

    @property
    def best(self) -> Answered:
        """E δ² by the best method that applies: exact, coupled, independence, Monte Carlo."""
        for method in ("exact", "finite_width", "coupled", "independence", "monte_carlo"):
            if method in self.delta_ms:
                return self.delta_ms[method]
        return self.delta_ms["independence"]  # raises the reason

    @property
    def gap(self) -> float | None:
        """The independence gap: E δ² of the best method over that of independence."""
        plain = float(self.delta_ms.get("independence") or 0.0)
        return self.best / plain if plain else None

    def _repr_html_(self) -> str:
        rows = [
            (name, f"{v:.3g}", v.method.replace("_", " "), v.kind, v.assumption)
            for name, held in (("E δ", self.delta_mean), ("E δ²", self.delta_ms))
            for v in held.values()
        ]
        head = f"Layer {self.index}, {self.n_in} → {self.n_out}, {self.activation}: {self.verdict}."
        return headline(head) + table(["δ", "value", "method", "kind", "assumption"], rows)

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        plain: dict[str, Any] = {}
        for name, value in vars(self).items():
            if isinstance(value, ByMethod):
                plain[name] = {m: _plain(v) for m, v in value.items()}
                plain[name] |= {m: {"reason": r} for m, r in value.reasons.items()}
            else:
                plain[name] = _plain(value)
        return plain


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value.to_dict() if isinstance(value, Answered) else value


def number(value: float | None) -> float | None:
    """The number as float32 holds it: 0 where it underflows, None where it overflows."""
    if value is None or not abs(value) <= 3.4028235e38:
        return None
    return value if abs(value) >= 2.0**-149 else 0.0
