"""Term by term: the exact mean of δ at the last hidden layer, and its extension to every layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from pullback.calculus.quadrature import Array, adaptive
from pullback.errors import NotApplicableError
from pullback.moments.law.activation import moments
from pullback.moments.law.exact import LastHidden
from pullback.moments.law.forward import affine_steps, every
from pullback.moments.law.layers import IDENTITY, Branch, Layer
from pullback.moments.law.theory import Theory, attempt
from pullback.moments.sampling.draws import Downstream
from pullback.moments.sampling.monte_carlo import Sampled
from pullback.notebook import headline, mathml, paragraph, table

NEGLIGIBLE = 0.1  # a term is small if it is less than this share of the whole
_BESIDE = "beside E δ and a tenth of RMS δ"


@dataclass(frozen=True)
class Term:
    """One term of E δ: what it is, its formula in text and LaTeX, its value."""

    name: str
    formula: str
    tex: str
    value: float


@dataclass(frozen=True)
class Condition:
    """One condition under which independence is good: a size that has to be small."""

    sentence: str
    size: float

    @property
    def holds(self) -> bool:
        """Is it below a tenth?"""
        return bool(abs(self.size) < NEGLIGIBLE)


@dataclass(frozen=True, repr=False)
class Explanation:
    """E δ at one layer: its terms, their sum, the independence value, and the gap by its formula.

    ``kind`` is "law" or "limit"; ``measured`` is Monte Carlo's value, where there is one.
    """

    layer: int
    title: str
    kind: str
    assumption: str
    terms: tuple[Term, ...]
    independence: float
    gap: Term
    conditions: tuple[Condition, ...]
    measured: float | None

    @property
    def mean(self) -> float:
        """E δ: the sum of the terms."""
        return sum(term.value for term in self.terms)

    def text(self) -> str:
        """The terms in a table, the gap and the conditions."""
        width = max(len(t.formula) for t in (*self.terms, self.gap))
        rows = [f"  {t.formula:<{width}}  {t.value:>11.4g}  {t.name}" for t in self.terms]
        good = all(c.holds for c in self.conditions)
        verdict = "Independence is good here" if good else "Independence is NOT good here"
        lines = [
            f"{verdict}: E δ = {self.mean:.4g}, independence says {self.independence:.4g}.",
            f"{self.title} ({self.kind}: {self.assumption})",
            *rows,
            f"  {'sum':<{width}}  {self.mean:>11.4g}  E δ",
            f"  {'independence':<{width}}  {self.independence:>11.4g}",
            f"  {self.gap.formula:<{width}}  {self.gap.value:>11.4g}  {self.gap.name}",
        ]
        if self.measured is not None:
            lines.append(f"  {'Monte Carlo':<{width}}  {self.measured:>11.4g}")
        lines += [
            f"  {'holds' if c.holds else 'FAILS'}: {c.sentence} ({c.size:.3g})"
            for c in self.conditions
        ]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<layer {self.layer}: E δ = {self.mean:.4g}>"

    def __str__(self) -> str:
        return self.text()

    def latex(self) -> str:
        """E δ as the sum of its terms."""
        return r"\mathbb E[\delta_j] = " + " + ".join(term.tex for term in self.terms)

    def _repr_html_(self) -> str:
        verdict, *_ = self.text().split("\n")
        rows = [(term.name, term.formula, f"{term.value:.4g}") for term in self.terms]
        rows += [("E δ", "sum", f"{self.mean:.4g}")]
        rows += [("independence", "", f"{self.independence:.4g}")]
        rows += [(self.gap.name, self.gap.formula, f"{self.gap.value:.4g}")]
        if self.measured is not None:
            rows += [("Monte Carlo", "", f"{self.measured:.4g}")]
        tests = [
            ("holds" if c.holds else "FAILS", c.sentence, f"{c.size:.3g}") for c in self.conditions
        ]
        return (
            f"{headline(verdict)}<p>{mathml(self.latex())}</p>"
            f"{paragraph(f'{self.title} ({self.kind}: {self.assumption})')}"
            f"{table(['term', 'formula', 'value'], rows)}"
            f"{table(['independence', 'needs', 'size'], tests)}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self) | {"mean": self.mean}


def explain_layer(theory: Theory, layer: int, sampled: Mapping[int, Sampled]) -> Explanation:
    """The exact formula where it applies, else Stein's extension with the limit's numbers.

    Raises NotApplicableError where neither does.
    """
    measured = sampled[layer].mean.value if layer in sampled else None
    count = len(theory.setting.layers)
    if layer == count - 2:
        last = attempt(lambda: theory.last_hidden)
        if last is not None:
            return _exact(theory, last, layer, measured)
    if layer == count - 1:
        return _output(theory, layer, measured)
    return _stein(theory, layer, measured)


def _exact(theory: Theory, last: LastHidden, layer: int, measured: float | None) -> Explanation:
    average = theory.average
    law = theory.last_hidden_is_law
    terms = (
        Term(
            "the read-out meets itself",
            "M σ_w² E[f'(z_j) f(z_j)]",
            r"M\sigma_w^2\,\mathbb E[f'(z_j)f(z_j)]",
            average(last.first),
        ),
        Term(
            "the mean of the outputs",
            "M μ_w² Σ_l E[f'(z_j) f(z_l)]",
            r"M\mu_w^2\sum_l\mathbb E[f'(z_j)f(z_l)]",
            average(last.second),
        ),
        Term(
            "the targets",
            "−μ_w E[f'(z_j)] Σ_k E[y_k]",
            r"\bigl(-\mu_w\,\mathbb E[f'(z_j)]\sum_k\mathbb E[y_k]\bigr)",
            average(last.third),
        ),
    )
    gap = Term(
        "what independence leaves out",
        "M (σ_w² E[f'f] + μ_w² Σ_l Cov(f'_j, f_l))",
        r"M\bigl(\sigma_w^2\,\mathbb E[f'f]+\mu_w^2\sum_l\operatorname{Cov}(f'_j,f_l)\bigr)",
        average(last.gap),
    )
    independence = average(last.independence)
    total = _beside(sum(t.value for t in terms), _square(theory, layer))
    factorised = average(last.hidden * last.at.s1 * last.at.m1)
    apart = average(last.covariances) / factorised if factorised else 0.0
    conditions = (
        Condition(f"the first term is negligible {_BESIDE}", terms[0].value / total),
        Condition("Σ_l E[f'_j f_l] factorises: Σ_l Cov(f'_j, f_l) beside Σ_l E f' E f", apart),
    )
    title = f"Layer {layer}: {last.hidden} hidden units, {last.outputs} outputs, squared error"
    note = "independent weights" + ("" if law else "; z Gaussian, independent between units")
    kind = "law" if law else "limit"
    return Explanation(layer, title, kind, note, terms, independence, gap, conditions, measured)


def _square(theory: Theory, layer: int) -> float:
    """E δ² at infinite width, over the data."""
    return theory.average(theory.infinite[layer].square)


def _beside(mean: float, square: float) -> float:
    """What a term of E δ is compared with: a mean far below the spread matters to nobody."""
    return max(abs(mean), 0.1 * square**0.5) or 1.0


def _output(theory: Theory, layer: int, measured: float | None) -> Explanation:
    mean = theory.average(theory.infinite[layer].mean)
    term = Term("the output error", "E[∂L/∂z]", r"\mathbb E[\partial L/\partial z]", mean)
    gap = Term("what independence leaves out", "0", "0", 0.0)
    title = f"Layer {layer}: the output, where δ is the loss's own derivative"
    return Explanation(layer, title, "limit", "z Gaussian", (term,), mean, gap, (), measured)


def _stein(theory: Theory, layer: int, measured: float | None) -> Explanation:
    """E δ_j = μ_w E[f'_j Σ_k δ⁺_k] + σ_w² E[f'_j f_j tr ∂δ⁺/∂z⁺]."""
    ops = [step.op for step in every(theory.steps)]
    if any(isinstance(op, Branch) for op in ops):
        raise NotApplicableError("Stein's extension is written for plain chains, no skips")
    setting = theory.setting
    average = theory.average
    steps = affine_steps(theory.steps)
    onward = steps[layer + 1]
    assert isinstance(onward.op, Layer)
    after, law = theory.coupled[layer + 1], setting.weights[layer + 1]
    applied = (s.moments for s in theory.steps if s.after is onward.before)
    at = next(applied, None) or moments(IDENTITY, onward.before.mean, onward.before.variance)
    n = onward.op.n_out
    straight = n * law.mean * after.mean * at.s1
    around = n * law.variance * after.trace * at.expect(at.slope * at.f)
    twice = n * law.variance * after.trace
    terms = (
        Term(
            "carried back",
            "μ_w E[f'_j Σ_k δ⁺_k]",
            r"\mu_w\,\mathbb E\bigl[f'_j\sum_k\delta^+_k\bigr]",
            average(straight),
        ),
        Term(
            "the weights meet themselves",
            "σ_w² E[f'_j f_j tr(∂δ⁺/∂z⁺)]",
            r"\sigma_w^2\,\mathbb E\bigl[f'_jf_j"
            r"\operatorname{tr}(\partial\delta^+/\partial z^+)\bigr]",
            average(around),
        ),
    )
    independence = average(theory.independence[layer].mean)
    total = sum(t.value for t in terms)
    gap = Term(
        "what independence leaves out", "E δ − independence", r"\Delta", total - independence
    )
    conditions = (
        Condition(
            f"the trace term is negligible {_BESIDE}",
            terms[1].value / _beside(total, _square(theory, layer)),
        ),
        Condition("σ_w² tr(∂δ⁺/∂z⁺) per unit is small", average(twice)),
    )
    note = "the identity is a law for normal weights; its averages are taken at infinite width"
    title = f"Layer {layer}: {at.function} between Linear {layer} and {layer + 1}"
    return Explanation(layer, title, "limit", note, terms, independence, gap, conditions, measured)


@dataclass(frozen=True)
class Tried:
    """E over a Gaussian pre-activation of ∂L/∂z, at given weights, and the same by Stein's lemma.

    ``left`` = E[∂L/∂z_j] and ``right`` = E[(z_j − μ) L]/σ² for one unit, by quadrature; the others
    for all units (units,) by sampling, each unit Gaussian and independent, with standard errors of
    their difference.
    """

    layer: int
    unit: int
    mean: float
    std: float
    left: float
    right: float
    all_left: Array
    all_right: Array
    all_error: Array

    @property
    def worst_z(self) -> float:
        """The largest difference of the two sides over all units, in standard errors."""
        return float(np.max(np.abs(self.all_left - self.all_right) / self.all_error))

    def text(self) -> str:
        """Both sides, for one unit and for all."""
        return "\n".join(
            [
                f"Layer {self.layer}, unit {self.unit}, z ~ Normal({self.mean:.3g}, "
                f"{self.std:.3g}²), weights given",
                f"  E[∂L/∂z]       = {self.left:.9g}   (quadrature)",
                f"  E[(z−μ) L]/σ²  = {self.right:.9g}   (quadrature)",
                f"  all {len(self.all_left)} units by sampling: mean of E[∂L/∂z] "
                f"{self.all_left.mean():.4g}, of E[(z−μ) L]/σ² {self.all_right.mean():.4g}; "
                f"largest difference {self.worst_z:.1f} standard errors",
            ]
        )

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        rows = [
            ("E[∂L/∂z]", f"{self.left:.9g}", f"{self.all_left.mean():.4g}"),
            ("E[(z−μ) L]/σ²", f"{self.right:.9g}", f"{self.all_right.mean():.4g}"),
        ]
        head = f"The two sides differ by at most {self.worst_z:.1f} standard errors."
        over = f"mean of {len(self.all_left)} units, by sampling"
        return headline(head) + table(["side", f"unit {self.unit}, by quadrature", over], rows)

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in vars(self).items()}


def try_integral(
    theory: Theory,
    params: Mapping[str, Any],
    layer: int,
    unit: int,
    sample: int,
    draws: int,
    seed: int,
) -> Tried:
    """Both sides of E[∂L/∂z] = E[(z−μ) L]/σ² at one layer and data sample."""
    setting, one = theory.setting, slice(sample, sample + 1)
    ensemble = setting.ensemble
    batch = {name: value[one] for name, value in setting.batch.items()}
    behind = partial(Downstream(ensemble, setting.layers[layer]), params, batch)
    found = ensemble(ensemble.given(params), {name: v[None] for name, v in batch.items()})
    here = found.z[layer][0, 0]
    z = theory.z[layer]
    case = next(g for g, m in enumerate(theory.setting.data.members) if sample in m)
    mean, std = float(z.mean[case]), float(np.sqrt(z.variance[case]))
    if not std:
        raise NotApplicableError("z has no spread here: there is nothing to integrate over")

    def both_sides(x: Array) -> Array:
        held = np.repeat(here[None], len(x), axis=0)
        held[:, unit] = mean + std * x
        loss, delta = behind(held)
        return np.stack([delta[:, unit], x * loss / std])

    left, right = map(float, adaptive(both_sides))
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((draws, len(here)))
    loss, delta = behind(mean + std * x)
    sides = delta, x * (loss - loss.mean())[:, None] / std
    error = (sides[0] - sides[1]).std(axis=0, ddof=1) / np.sqrt(draws)
    all_left, all_right = (side.mean(axis=0) for side in sides)
    return Tried(layer, unit, mean, std, left, right, all_left, all_right, error)
