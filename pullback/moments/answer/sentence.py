"""A forecast in plain sentences: the verdict, and the networks that it was checked on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pullback.moments.answer.cause import blocked_at
from pullback.moments.law.scales import Scale
from pullback.moments.law.theory import attempt
from pullback.moments.sampling.trial import FLOAT32, in_print

if TYPE_CHECKING:
    from pullback.moments.answer.forecast import Forecast

_FEW = 8  # layers that a sentence names
_OFF = 0.3  # of a layer's units: a share worth a line


def sentence(f: Forecast) -> str:
    """The verdict in one plain sentence, and its cause in another."""
    blame = "" if f.cause == "none" else f" Cause: {f.cause}{_detail(f)}."
    return f"{f.verdict.capitalize()}{_what(f)}.{blame}"


def _what(f: Forecast) -> str:
    if f.verdict == "dead":
        return f": {_dead(f)}"
    if f.verdict == "symmetric":
        at = next(x.index for x in f.layers if x.verdict == "symmetric")
        laws = attempt(lambda: f.setting.weights)
        law = laws[at] if laws else None
        if f.tried.held and law is not None and not law.variance:
            return (
                f": all weights of layer {at} are {law.mean:.3g}, so each of its units sees the "
                "same sum of the inputs"
            )
        units, distinct = f.layers[at].n_out, int(np.median(f.tried.distinct[:, at]))
        return (
            f": the {units} units of layer {at} are {distinct} and copies of them, with the same "
            "weights; they get the same gradients, so they stay copies"
        )
    if f.scales and f.verdict == f.scales[0].word:
        names = " and ".join(each.name for each in f.scales)
        return f" {names}: {', '.join(_sizes(each) for each in f.scales)}"
    if f.tried.overflow is not None:
        return f": {f.tried.overflow}"
    if not FLOAT32[0] <= f.ratio <= FLOAT32[1]:
        return (
            ": hardly anything of δ arrives" if f.ratio < 1 else ": δ leaves the range of float32"
        )
    rate = f.ratio ** (1 / max(len(f.layers) - 1, 1))
    way = f"shrinks {1 / rate:.3g}×" if rate < 1 else f"grows {rate:.3g}×"
    rest = f"; {_dead(f)}" if "dead" in {x.verdict for x in f.layers} else ""
    return f": δ {way} a layer; at the first layer it is {f.ratio:.3g}× the output's{rest}"


def _sizes(scale: Scale) -> str:
    return f"mean {scale.mean:.3g}, spread {scale.spread:.3g}"


def _dead(f: Forecast) -> str:
    tried = f.tried
    layers = [str(at) for at, share in enumerate(tried.dead) if share >= tried.dead.max() / 2]
    more = ", …" if len(layers) > _FEW else ""
    where = f"layer{'s' * (len(layers) > 1)} {', '.join(layers[:_FEW])}{more}"
    if tried.held:
        return f"no gradient at all reaches {where}, at any of {tried.samples:,} samples"
    count = round(tried.dead_share * len(tried))
    return f"in {count} of {len(tried)} networks drawn no gradient at all reaches {where}"


def _detail(f: Forecast) -> str:
    """The numbers of the cause."""
    if f.cause in ("inputs", "targets"):
        return f" ({_sizes(f.scales[0])})"
    laws = attempt(lambda: f.setting.weights)
    if f.cause == "bias" and laws:
        at = int(np.argmax([abs(w.bias_mean) + w.bias_variance**0.5 for w in laws]))
        law = laws[at]
        return f" (layer {at}: mean {law.bias_mean:.3g}, spread {law.bias_variance**0.5:.3g})"
    if f.cause == "weights" and f.verdict == "dead":
        zero = [str(at) for at, w in enumerate(laws or ()) if not (w.mean or w.variance)]
        return f" (all 0 in layer {', '.join(zero[:_FEW])})" if zero else " (all equal)"
    if f.cause == "width":
        at = blocked_at(f.tried)
        return f" (all {f.layers[at].n_out} units of layer {at} are off)"
    if f.cause == "activation" and f.verdict == "dead":
        at = blocked_at(f.tried)
        return f" ({f.layers[at].activation} is flat at every unit of layer {at})"
    return ""


def checked(f: Forecast) -> list[str]:
    """What the networks said that the verdict was checked on, and what else is worth knowing."""
    tried = f.tried
    low, high = tried.interval
    if tried.held:
        lines = [f"Measured: the module as it is, on {_samples(tried.samples)}."]
    else:
        lines = [
            f"Checked: {len(tried)} networks drawn (seed {tried.seed}), {_samples(tried.samples)} "
            f"each: {_dead_share(tried.dead_share)}."
        ]
        if tried.dead_share < 1:
            between = f"{in_print(low)} to {in_print(high)}"
            lines[0] += f" The ratio of 95 % of those alive is {between}."
    off = [(at, float(np.mean(share))) for at, share in enumerate(tried.off.T)]
    some = [f"layer {at} {share:.0%}" for at, share in off if share > _OFF]
    if some:
        lines.append(f"Units that get no gradient at any sample: {', '.join(some[:_FEW])}.")
    idle = [str(x.index) for x in f.layers if x.verdict == "idle"]
    if idle:
        lines.append(
            f"Layer {', '.join(idle[:_FEW])}: no gradient in the first step, as the residual "
            "branch ends in zero weights; from the second on there is one."
        )
    if tried.samples == 1 and f.setting.samples == 1:
        lines.append("X is one sample: give some dozens, and the verdict is about your data.")
    return lines


def _samples(count: int) -> str:
    return f"{count:,} sample{'s' * (count > 1)}"


def _dead_share(share: float) -> str:
    return f"{share:.0%} without a gradient at some layer" if share else "none is dead"
