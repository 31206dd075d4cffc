"""The cause: the ingredient whose repair alone makes a network healthy, found by repairing it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pullback.calculus.quadrature import Array
from pullback.errors import NonFiniteError, NotApplicableError
from pullback.ir import Node, Parameter, Scan
from pullback.ir.flow import affine
from pullback.moments.answer.verdict import DEAD, Verdict
from pullback.moments.law.growth import LARGE, gains, growth, is_fair
from pullback.moments.law.layers import IDENTITY
from pullback.moments.law.scales import Scale, scaled
from pullback.moments.law.setting import Setting
from pullback.moments.law.theory import attempt
from pullback.moments.sampling.draws import Ensemble
from pullback.moments.sampling.trial import Trial, trial
from pullback.nn import ParameterSpec

CONFLICT = 2.0  # between the gains that forward and backward want
FEW = 20  # networks drawn to try one repair
NARROW = 16  # units, all of which may be off by chance
_BETTER = math.log(2)  # what scaling the data has to change in ln of the ratio


def cause_of(found: Verdict, setting: Setting, tried: Trial, scales: Sequence[Scale]) -> str:
    """What is to blame, the ingredients taken in a fixed order."""
    if found.word in ("healthy", "unknown"):
        return "none"
    if scales and (
        found.word == scales[0].word or _are_zero(scales) or _scaling_helps(setting, tried, scales)
    ):
        return scales[0].name
    if found.word == "heavy-tailed":
        return "depth/width"
    if found.word == "symmetric":
        return "weights"
    if found.word == "dead":
        return _of_death(setting, tried)
    return _of_growth(found.word, setting, tried)


def _are_zero(scales: Sequence[Scale]) -> bool:
    return scales[0].word == "constant" and not scales[0].mean


def _scaling_helps(setting: Setting, tried: Trial, scales: Sequence[Scale]) -> bool:
    better = scaled(setting) if any(each.word == "unscaled" for each in scales) else None
    if better is None:
        return False
    after = trial(better, tried.seed)
    if tried.dead_share >= DEAD:
        return after.dead_share < DEAD
    if tried.overflow is not None:
        return after.overflow is None
    return _distance(after) < _distance(tried) - _BETTER


def _distance(tried: Trial) -> float:
    """|ln| of the ratio furthest from 1, in half of the networks; infinite beyond the numbers."""
    return float(np.quantile(tried.worst, 0.5, method="nearest"))


def _of_death(setting: Setting, tried: Trial) -> str:
    laws = attempt(lambda: setting.weights)
    for name, present, repair in (
        ("bias", any(w.bias_mean or w.bias_variance for w in laws or ()), _without_biases),
        ("weight mean", any(w.mean and w.variance for w in laws or ()), _centred),
        ("weights", not all(w.variance for w in laws or ()), _varied),
        ("gain", True, _rescaled),
    ):
        if not (present or laws is None):
            continue
        if trial(setting, tried.seed, repair).dead_share < min(DEAD, tried.dead_share):
            return name
    at = blocked_at(tried)
    if at == len(tried.dead) - 1:
        plain = laws is None or setting.structure.tail.function is IDENTITY
        return "output error" if plain else "activation"
    if setting.layers[at].activation == "–" and laws is None:
        return "unknown"
    return "width" if setting.layers[at].n_out <= NARROW else "activation"


def blocked_at(tried: Trial) -> int:
    """The layer nearest the output behind whose activation δ is most often 0."""
    zero = (tried.norms == 0) & ~tried.idle
    first = zero.shape[1] - 1 - np.argmax(zero[:, ::-1], axis=1)
    places = first[zero.any(axis=1)]
    if not len(places):  # δ arrives everywhere, but what feeds a layer is 0
        return int(np.argmax(tried.dead))
    return int(np.bincount(places).argmax())


def _without_biases(spec: ParameterSpec, value: Array, rng: np.random.Generator) -> Array:
    return 0 * value if spec.kind == "bias" else value


def _without_constants(setting: Setting) -> Setting | None:
    """The same without biases that start at values of their own, as those of a module's loops."""
    ensemble, zeros = setting.ensemble, {}
    for equation in setting.net.built_graph.equations:
        form = affine(equation.arg)
        added: list[Node | None] = [form.bias] if form is not None else []
        if isinstance(equation.arg, Scan):
            added += [n for n in setting.net.built_graph.reads(equation) if len(n.axes) == 1]
        for leaf in added:
            if isinstance(leaf, Parameter) and leaf.name in ensemble.fixed:
                zeros[leaf.name] = 0 * ensemble.fixed[leaf.name]
    if not any(ensemble.fixed[name].any() for name in zeros):
        return None
    held = None if setting.held is None else {**setting.held, **zeros}
    bare = Ensemble(ensemble.reading, {**ensemble.fixed, **zeros})
    return replace(setting, ensemble=bare, held=held)


def _centred(spec: ParameterSpec, value: Array, rng: np.random.Generator) -> Array:
    if spec.kind != "weight":
        return value
    return np.asarray(value - value.mean(axis=_inner(value), keepdims=True))


def _varied(spec: ParameterSpec, value: Array, rng: np.random.Generator) -> Array:
    """Weights that are all equal, drawn anew."""
    equal = (value.size > 1 and np.ptp(value) == 0) or not value.any()
    if spec.kind != "weight" or not equal:
        return value
    return np.asarray(rng.standard_normal(value.shape) * math.sqrt(2 / spec.n_in))


def _rescaled(spec: ParameterSpec, value: Array, rng: np.random.Generator) -> Array:
    """Weights of the size that ``init.he`` gives them."""
    if spec.kind != "weight":
        return value
    inner = _inner(value)
    size = np.abs(value).max(axis=inner, keepdims=True, initial=0.0)
    shares = value / np.where(size > 0, size, 1.0)
    root = np.sqrt(np.mean(shares**2, axis=inner, keepdims=True))
    return np.asarray(shares / np.where(root > 0, root, 1.0) * math.sqrt(2 / spec.n_in))


def _inner(value: Array) -> tuple[int, ...]:
    """Every place but that of the draws."""
    return tuple(range(1, value.ndim))


def _of_growth(word: str, setting: Setting, tried: Trial) -> str:
    """Of δ that shrinks or grows: by theory, with one ingredient changed at a time."""
    if setting.laws is None:
        return _by_draws(setting, tried)
    coarse = setting.coarse()
    laws = setting.weights
    try:
        if setting.held is not None and is_fair(growth(coarse)):
            return "weights"  # drawn anew with their mean and variance they would do
        if word != "unstable" and is_fair(growth(coarse, coupled=False)):
            return "outputs/width"
        for name, repaired in (
            ("weight mean", tuple(replace(w, mean=0.0) for w in laws)),
            ("bias", tuple(replace(w, bias_variance=0.0, bias_mean=0.0) for w in laws)),
        ):
            if repaired == laws or not all(w.variance for w in repaired):
                continue
            after = growth(coarse.with_weights(repaired))
            if is_fair(after) or abs(after) < abs(growth(coarse)) / 2:
                return name
        conflict = max((each.conflict for each in gains(setting)), default=1.0)
    except (NotApplicableError, NonFiniteError):
        return "gain"
    return "activation" if conflict > CONFLICT else "gain"


def _by_draws(setting: Setting, tried: Trial) -> str:
    """Where no law is known: the first repair that makes the networks drawn healthy, or nearly."""
    without = _without_constants(setting)
    if without and _distance(trial(without, tried.seed, draws=FEW)) < _distance(tried) / 2:
        return "bias"
    after: dict[str, float] = {}
    for name, repair in (
        ("bias", _without_biases), ("weight mean", _centred), ("gain", _rescaled),
    ):  # fmt: skip
        after[name] = _distance(trial(setting, tried.seed, repair, FEW))
        if after[name] <= math.log(LARGE):
            return name
    now = _distance(tried)
    return next((name for name, left in after.items() if left < now / 2), "unknown")
