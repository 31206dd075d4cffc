"""``forecast``: the distribution of the error vector δ at every layer, before training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from pullback.errors import ConfigError, shown, unknown, whole
from pullback.interop.measured import Measured, redrawn
from pullback.interop.subject import named_arguments
from pullback.interop.torch.initialise import ParameterPlace, law_of, places_of
from pullback.interop.torch.tensors import is_module
from pullback.moments.answer import text as words
from pullback.moments.answer.advice import Advice, Outlook, advise
from pullback.moments.answer.assemble import Assembly
from pullback.moments.answer.cause import cause_of
from pullback.moments.answer.explain import Explanation, Tried, explain_layer, try_integral
from pullback.moments.answer.figures import depth_figure, histogram_figure, signal_figure
from pullback.moments.answer.record import METHODS, LayerForecast, number
from pullback.moments.answer.sentence import sentence
from pullback.moments.answer.subject import subject
from pullback.moments.answer.verdict import Verdict, judge
from pullback.moments.law.precision import Underflow, underflows
from pullback.moments.law.scales import Scale, scales_of
from pullback.moments.law.setting import Setting
from pullback.moments.law.theory import Theory, attempt
from pullback.moments.sampling.monte_carlo import MEMORY, SAMPLES, Sampled, sample
from pullback.moments.sampling.trial import FEWEST, WORK, Trial, trial
from pullback.nn import ParameterSpec, init
from pullback.train.jax.placement import Hardware


@dataclass(frozen=True, repr=False)
class Forecast:
    """The law of z and δ at each layer, input side first, with verdict, cause and advice.

    A layer is an equation z of the network. Where no law is known for a part of the network, every
    number is measured in networks drawn. ``found`` are the layers as the methods have them; the
    networks by which they are judged are drawn when a verdict is first read.
    """

    found: tuple[LayerForecast, ...] = field(repr=False)
    as_it_is: Trial | None = field(repr=False)  # the run of a module with the weights that it has
    methods: tuple[str, ...]
    draws: int
    seed: int
    theory: Theory = field(repr=False)
    sampled: Mapping[int, Sampled] = field(repr=False)
    assumptions: tuple[str, ...] = ()  # about the network itself, beside those of each method
    places: Mapping[str, ParameterPlace] | None = field(
        default=None, repr=False
    )  # of a module's parameters

    @property
    def setting(self) -> Setting:
        """The network as read, its data and its weights."""
        return self.theory.setting

    @property
    def scheme(self) -> init.Scheme:
        """The initialisation that was forecast."""
        return self.setting.scheme

    @cached_property
    def layers(self) -> tuple[LayerForecast, ...]:
        """One record a layer, input side first, each with its verdict."""
        words = self.judged.layers
        return tuple(replace(x, verdict=w) for x, w in zip(self.found, words, strict=True))

    @cached_property
    def tried(self) -> Trial:
        """Networks on these data, which have to bear the verdict out."""
        return trial(self.setting, self.seed) if self.as_it_is is None else self.as_it_is

    @cached_property
    def judged(self) -> Verdict:
        """The verdict on the network and on each layer."""
        return judge(self.found, self.tried, self.scales, self.theory.why_not is None)

    @cached_property
    def cause(self) -> str:
        """What is to blame, the ingredient whose repair alone fixes it; ``"none"`` if healthy.

        One of gain, activation, bias, weight mean, weights, width, outputs/width, depth/width,
        inputs, targets, output error; unknown where no law is known and no repair helps.
        """
        return cause_of(self.judged, self.setting, self.tried, self.scales)

    @property
    def culprit(self) -> str:
        """The same as ``cause``."""
        return self.cause

    @cached_property
    def scales(self) -> tuple[Scale, ...]:
        """Inputs and targets whose scale is at fault."""
        return scales_of(self.setting)

    @property
    def verdict(self) -> str:
        """One word: healthy, vanishing, exploding, dead, symmetric, unstable, heavy-tailed,
        unscaled or constant.
        """
        return self.judged.word

    @property
    def ratio(self) -> float:
        """RMS ‖δ‖ at the first layer over the output's: infinite if it overflows, 0 if dead."""
        return self.judged.ratio

    @property
    def quadrature_error(self) -> float | None:
        """The largest relative error of a Gaussian moment, estimated by refining once more."""
        return attempt(lambda: self.theory.quadrature_error)

    @cached_property
    def underflow(self) -> tuple[Underflow, ...]:
        """What fp16 and bf16 lose of δ of the reduced loss, with a loss scale."""
        mean = self.setting.net.criterion.reduction == "mean"
        batch = self.setting.samples if mean else 1
        return attempt(lambda: underflows(self.found, batch)) or ()

    @cached_property
    def advice(self) -> Advice:
        """A scheme under which networks are better off: ``net.init(scheme=f.advice.scheme)``."""

        def outlook_of(scheme: init.Scheme) -> Outlook:
            found = evaluated(self._under(scheme), _ANALYTIC, 0, self.seed)
            return Outlook(found.verdict, found.ratio, found.tried)

        now = Outlook(self.verdict, self.ratio, self.tried)
        case = self.setting, now, self.cause, self.scales, self._advised, self.places
        return advise(*case, self._under, outlook_of)

    @property
    def _advised(self) -> tuple[ParameterSpec, ...]:
        """The parameters that advice draws: of a module, the weights of layers and their biases."""
        if self.places is not None:
            return redrawn(self.setting.net)
        return tuple(spec for spec in self.setting.net.specs if spec.trained)

    def _under(self, scheme: init.Scheme) -> Setting:
        """The same network drawn by another scheme; a module keeps what no advice draws."""
        own, places = self.setting.scheme, self.places
        if places is None or not isinstance(own, Measured):
            return self.setting.under(scheme)
        laws = {
            spec.name: law_of(scheme, spec, places[spec.name]) if spec.kind == "weight" else scheme
            for spec in self._advised
        }
        return self.setting.under(own.anew(laws))

    def apply_(self, module: Any, seed: int = 0) -> Any:
        """Do to a torch module what the advice says, in place; see ``Advice.apply_``."""
        return self.advice.apply_(module, seed)

    def explain(self, layer: int) -> Explanation:
        """Every term of E δ at a layer, the independence value, and the gap between the two.

        The last hidden layer under squared error: the exact formula. Others: Stein's extension.
        Raises ConfigError for an unknown layer.
        """
        return explain_layer(self.theory, self._index(layer), self.sampled)

    def integral(
        self,
        layer: int,
        params: Mapping[str, Any] | None = None,
        unit: int = 0,
        sample: int = 0,
        draws: int = 20_000,
    ) -> Tried:
        """E ∂L/∂z_j over a Gaussian z_j at given weights, with E[(z−μ) L]/σ² beside it.

        By quadrature for one unit, by sampling for all; other values are those of one data sample.
        """
        held = params if params is not None else self.setting.net.init(self.seed, self.scheme)
        return try_integral(self.theory, held, self._index(layer), unit, sample, draws, self.seed)

    def _index(self, layer: int) -> int:
        count = len(self.found)
        if layer not in range(-count, count):
            raise ConfigError(f"layer is {shown(layer)}; expected 0 to {count - 1}")
        return layer % count

    def plot(self, kind: str = "depth", layer: int = 0) -> Any:
        """A plotly figure: ``depth`` (log₁₀ RMS δ), ``signal`` (q), or ``histogram`` of a layer."""
        if kind == "depth":
            return depth_figure(self.layers)
        if kind == "signal":
            return signal_figure(self.layers)
        if kind == "histogram":
            return histogram_figure(self.theory, self.sampled, self._index(layer))
        raise unknown("plot", kind, ("depth", "signal", "histogram"))

    @property
    def sentence(self) -> str:
        """The verdict in one plain sentence."""
        return sentence(self)

    def text(self) -> str:
        """Verdict, one row a layer, budget, advice, half precision, badges."""
        return words.text(self)

    def __repr__(self) -> str:
        return f"<forecast: {self.sentence}>"

    def __str__(self) -> str:
        return self.text()

    def latex(self) -> str:
        """The recursions that were evaluated."""
        return words.LATEX

    def _repr_html_(self) -> str:
        return words.html(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "verdict": self.verdict,
            "cause": self.cause,
            "culprit": self.cause,
            "sentence": self.sentence,
            "ratio": number(self.ratio),
            "confirmed": self.tried.to_dict(),
            "scheme": repr(self.scheme),
            "assumptions": list(self.assumptions),
            "draws": self.draws,
            "seed": self.seed,
            "quadrature_error": self.quadrature_error,
            "layers": [layer.to_dict() for layer in self.layers],
            "advice": self.advice.to_dict(),
            "underflow": [each.to_dict() for each in self.underflow],
        }


_ANALYTIC = METHODS[:-1]
UNASKED = 100  # networks at most that are drawn where nobody asked, and nothing else will do


@named_arguments
def forecast(
    net: Any,
    X: Any,
    Y: Any,
    scheme: init.Scheme | None = None,
    methods: Sequence[str] = METHODS,
    draws: int = 1000,
    seed: int = 0,
    progress: bool = True,
    memory: int = MEMORY,
    loss: Any = None,
    *,
    devices: Any = None,
) -> Forecast:
    """The distribution of z and δ at every layer for X (batch, features), Y and a scheme.

    X has any axes after the batch, or is a dict of inputs, as the network takes it.
    ``net`` is a Network or a torch module; a module brings its own weights as the scheme, if none
    is given, and takes its ``loss``, one of torch's or of ours, here. X and Y may be tensors.
    δ is of one sample, not reduced. ``methods`` are some of independence, exact, coupled,
    finite_width and monte_carlo; a method that does not apply to a number gives its reason when
    that number is asked for. Monte Carlo draws ``draws`` networks within ``memory`` bytes, on
    ``devices`` of jax if they are given (a number, a list, a mesh), each a part of the draws. The
    20 to 100 that a verdict has to agree with are drawn when one is first read.
    Networks of any known forms, as convolutions, norms, pools and gates, have a limit by
    independence. One with a part that no law is known for is measured by Monte Carlo alone,
    whatever the methods are, in at most 100 draws if Monte Carlo is not among them.
    Raises UnknownNameError for a method, ConfigError for a scheme or network that cannot be
    forecast, NonFiniteError where moments are infinite, and the errors of bad data.
    Source: Schoenholz et al. 2017 (independence); Hanin and Nica 2020 (finite width).

    >>> import numpy as np
    >>> import pullback as pb
    >>> blocks = [b for _ in range(19) for b in (pb.Linear(64, 64), pb.ReLU())]
    >>> net = pb.Network(pb.Sequential(*blocks, pb.Linear(64, 10)), loss=pb.CrossEntropy())
    >>> X = np.random.default_rng(0).normal(size=(50, 64))
    >>> f = forecast(net, X, np.arange(50) % 10, scheme=pb.init.torch_default(),
    ...              methods=("independence", "coupled"))
    >>> f.verdict, f.culprit, f.advice.scheme == pb.init.he()
    ('vanishing', 'gain', True)
    >>> f.layers[0].delta_ms["coupled"].kind
    'limit'
    """
    chosen = (methods,) if isinstance(methods, str) else tuple(methods)
    for method in chosen:
        if method not in METHODS:
            raise unknown("method", str(method), METHODS)
    if not chosen:
        raise ConfigError(f"methods is empty; expected some of {', '.join(METHODS)}")
    draws = whole("draws", draws)
    given = subject(net, X, Y, scheme, loss)
    setting = given.setting
    theory = Theory(setting, seed)
    if not theory.is_chain:
        if theory.why_not is None and "independence" not in chosen:
            chosen = (*chosen, "independence")  # the only one that says δ
        elif theory.why_not is not None and "monte_carlo" not in chosen:
            chosen, draws = (*chosen, "monte_carlo"), min(draws, _unasked(setting))
    found = evaluated(setting, chosen, draws, seed, progress, memory, theory, devices)
    places = places_of(net) if is_module(net) else None
    return replace(found, assumptions=(*given.assumptions, *found.assumptions), places=places)


def _unasked(setting: Setting) -> int:
    """How many networks to draw where nobody asked for it: the larger, the fewer."""
    passes = WORK // (SAMPLES * setting.ensemble.work)
    return min(UNASKED, max(FEWEST, passes))


def evaluated(
    setting: Setting,
    methods: tuple[str, ...],
    draws: int = 0,
    seed: int = 0,
    progress: bool = False,
    memory: int = MEMORY,
    theory: Theory | None = None,
    devices: Any = None,
) -> Forecast:
    """The forecast of a setting; what no method says of it, the verdict has from draws."""
    sampled: dict[int, Sampled] = {}
    if "monte_carlo" in methods:
        ensemble = setting.ensemble
        if devices is not None:
            ensemble = ensemble.on(Hardware(devices).placement)
        where = ensemble, setting.scheme, setting.batch
        sampled = sample(*where, draws, seed, progress, memory)
    theory = theory or Theory(setting, seed)
    # a module is run at once: its weights may change before the verdict is read
    as_it_is = None if setting.held is None else trial(setting, seed)
    note = f"{draws} draws, seed {seed}"
    with np.errstate(over="ignore", invalid="ignore"):  # what is infinite is left out, and said so
        layers = Assembly(theory, sampled, as_it_is, methods, note).layers()
    why_not = theory.why_not
    assumed = () if why_not is None else (f"{why_not}; every number is measured in networks drawn",)
    if setting.net.several:
        batch = f"a batch of the {setting.samples} samples given: δ of each depends on all of them"
        assumed = (*assumed, f"the numbers are of {batch}")
    return Forecast(layers, as_it_is, methods, draws, seed, theory, sampled, assumed)
