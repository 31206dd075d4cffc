"""Whether a signal gets through: weights, activations, depth, and the δ that comes back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pullback.doctor.observe import Observations, SeenLayer
from pullback.doctor.setup import TrainingSetup
from pullback.doctor.surgery import after, instead, module_at, new_weights
from pullback.doctor.suspicion import CERTAIN, MEASURED, Suspicion
from pullback.doctor.tape import POINTWISE, SQUASHING, TorchCall, error
from pullback.interop.extras import Late

torch: Any = Late("torch", "torch")

_LOST = 0.05  # of ‖δ‖, from the last layer to the first
_GROWN = 50.0
_DEAD = 0.9  # of a layer's units
_LARGE = 9.0  # variance times inputs; schemes take 1/3 to 2
_FLAT = 0.05  # a slope, over the largest one
STEPS = ("round", "floor", "ceil", "trunc", "fix", "sign", "sgn")
CLIPS = ("clamp", "clip", "hardtanh", "hardsigmoid", "threshold", "hardshrink", "softshrink")
_SLOPES = {"sigmoid": lambda a: 4 * a * (1 - a), "tanh": lambda a: 1 - a * a}


def suspect(seen: Observations) -> Iterator[Suspicion]:
    """Suspicions about what stands between input and output."""
    if not seen.layers:
        return
    yield from _linear(seen)
    yield from _same_weights(seen)
    yield from _dead(seen)
    yield from _stepped(seen)
    yield from _squashed(seen)
    yield from _carried(seen)


def hidden_calls(seen: Observations, *names: str) -> list[TorchCall]:
    """Pointwise functions between layers; the one on the output is another subject."""
    return [call for call in seen.tape.named(*names) if call is not seen.tape.last]


def _linear(seen: Observations) -> Iterator[Suspicion]:
    """Layers with nothing between them that bends."""
    bare: list[SeenLayer] = []
    by_call = {id(layer.call): layer for layer in seen.layers}
    for layer in seen.layers[1:]:
        before = _affine_before(seen, layer.call)
        if before is not None and id(before) in by_call:
            bare.append(by_call[id(before)])
    if not bare:
        return
    best, linear = seen.reference.best, seen.reference.linear
    curved = best is None or linear is None or _room(seen, best, linear)
    bends = any(
        call.name in POINTWISE or "pool" in call.name
        for call in hidden_calls(seen, *POINTWISE, "max_pool1d", "max_pool2d")
    )
    paths = [seen.place(layer.call) for layer in bare]
    ends = (
        ""
        if best is None
        else (
            f"; a plain learner that bends gets {best:.2f} on unseen samples, a linear one "
            f"{linear:.2f}"
        )
    )
    what = (
        f"nothing nonlinear stands behind layer {', '.join(paths)}: without an activation the "
        f"layers are one linear map{ends}"
    )

    def changed(setup: TrainingSetup) -> TrainingSetup:
        for layer in bare:
            if type(module_at(setup.module, layer.path)).__name__ in ("Linear", "Conv1d", "Conv2d"):
                setup = after(
                    setup, layer.path, torch.nn.Tanh() if layer.units < 16 else torch.nn.ReLU()
                )
        return setup

    weight = MEASURED + 0.6 if curved and not bends else 1.05
    yield Suspicion(
        "no nonlinearity",
        tuple(paths),
        what,
        "an activation between the layers",
        "nn.Sequential(nn.Linear(…), nn.ReLU(), nn.Linear(…))",
        changed,
        weight,
    )


def _room(seen: Observations, best: float, linear: float) -> bool:
    return seen.setup.task.share(linear, best) < 0.9


def _affine_before(seen: Observations, call: TorchCall) -> TorchCall | None:
    """The layer that a call is given the output of, as it is or averaged."""
    found = seen.tape.source(call.given[0], call)
    while found is not None and "avg_pool" in found.name:
        found = seen.tape.source(found.given[0], found)
    return found if found is not None and found in seen.tape.affine else None


def _same_weights(seen: Observations) -> Iterator[Suspicion]:
    """Units with the same weights stay copies of each other."""
    same, zero = [], []
    for layer in seen.layers:
        part = module_at(seen.setup.module, layer.path)
        weight = getattr(part, "weight", None)
        if weight is None or weight.dim() < 2 or len(weight) < 2:
            continue
        rows = weight.detach().reshape(len(weight), -1)
        if bool((rows == rows[:1]).all()):
            same.append(layer.path)
            zero.append(not rows.any())
    inner = [path for path in same if path != seen.layers[-1].path]
    dead_end = seen.layers[-1].path in same and all(zero) and len(seen.layers) > 1
    if not inner and not (dead_end and seen.carried == 0):
        return
    what = (
        f"the initial weights of layer {', '.join(same)} are {'0' if all(zero) else 'identical'} "
        "in every row: its units are copies and get the same gradients"
    )
    yield Suspicion(
        "initial weights",
        tuple(same),
        what,
        "random weights",
        "nn.init.kaiming_normal_(layer.weight)",
        _drawn,
        CERTAIN,
    )


def _drawn(setup: TrainingSetup) -> TrainingSetup:
    return new_weights(setup, 2.0)


def _dead(seen: Observations) -> Iterator[Suspicion]:
    """ReLU units that no sample turns on."""
    dead = {}
    for call in hidden_calls(seen, "relu", "relu6"):
        on = (call.out.detach() > 0).reshape(len(call.out), -1)
        share = 1 - float(on.any(dim=0).double().mean())
        if share >= _DEAD:
            dead[id(call)] = (call, share)
    if not dead:
        return
    call, share = next(iter(dead.values()))
    layer = _affine_before(seen, call)
    part = module_at(seen.setup.module, layer.path) if layer is not None else None
    bias = getattr(part, "bias", None)
    mean = 0.0 if bias is None else float(bias.detach().mean())
    low = mean < -1
    why = f"; the initial bias of layer {layer.path} is {mean:.3g}" if low and layer else ""
    paths = [seen.place(each) for each, _ in dead.values()]
    if layer is not None:
        paths.insert(0, layer.path)
    yield Suspicion(
        "dead units",
        tuple(dict.fromkeys(paths)),
        f"{share:.0%} of the ReLU units at {seen.place(call)} are dead: zero for every sample{why}",
        "draw the weights anew, with biases 0",
        "nn.init.kaiming_normal_(layer.weight); nn.init.zeros_(layer.bias)",
        _drawn,
        CERTAIN if low else MEASURED + 0.3,
    )


def _stepped(seen: Observations) -> Iterator[Suspicion]:
    """A function in steps, or one that clips all it is given: its slope is 0 for every sample."""
    for call in seen.tape.named(*STEPS, *CLIPS):
        came, passed = error(call.out), error(call.given[0])
        if came is None or not came.any() or passed is None or passed.any():
            continue
        step, function = call.name in STEPS, getattr(torch, call.name, None)

        def through(x: Any, function: Any = function) -> Any:
            return x + (function(x) - x).detach()

        yield Suspicion(
            "no slope",
            (seen.place(call),),
            f"no gradient passes {call.name}: its slope is 0 for every sample",
            "pass the gradient as if it were not there" if step else "leave it out in training",
            f"x + (torch.{call.name}(x) - x).detach()" if step else f"# no {call.name} in training",
            instead(seen.setup, seen.tape, call, torch.nn.Identity, through if step else _same),
            CERTAIN,
            call,
        )


def _same(x: Any) -> Any:
    return x


def _squashed(seen: Observations) -> Iterator[Suspicion]:
    """Sigmoid and tanh layers whose slopes, or whose chain of slopes, lets little through."""
    calls = hidden_calls(seen, *SQUASHING)
    calls = [call for call in calls if call.out.dim() >= 2 and call.out.is_floating_point()]
    if not calls:
        return
    flattest = max(calls, key=_flat)
    flat, large = _flat(flattest), _too_large(seen, flattest)
    lost = seen.carried < _LOST and any(call.name == "sigmoid" for call in calls)
    if flat < 0.5 and not lost:
        return
    names = " and ".join(dict.fromkeys(call.name for call in calls))
    how = (
        f"{flat:.0%} of their slopes are below {_FLAT:.0%} of the largest one"
        if flat >= 0.5
        else f"of ‖δ‖ at the last layer {seen.carried:.1%} arrives at the first"
    )

    if flat >= 0.5 and large is not None:
        layer, gain = large
        yield Suspicion(
            "initial weights",
            (layer,),
            f"the initial weights of layer {layer} are too large: variance times inputs is "
            f"{gain:.3g}, so {flat:.0%} of the {flattest.name} slopes behind it are flat",
            "draw the weights anew with variance 1/fan-in",
            "nn.init.xavier_normal_(layer.weight); nn.init.zeros_(layer.bias)",
            lambda setup: new_weights(setup, 1.0),
            MEASURED + 0.3,
        )

    def changed(setup: TrainingSetup) -> TrainingSetup:
        for call in calls:
            setup = instead(seen.setup, seen.tape, call, torch.nn.ReLU, torch.relu)(setup)
        return new_weights(setup, 2.0)

    yield Suspicion(
        "saturating",
        tuple(seen.place(call) for call in calls),
        f"the hidden {names} layers saturate: {how}",
        "ReLU in their place, with He's initial weights",
        "nn.ReLU()",
        changed,
        MEASURED + 0.2,
    )


def _too_large(seen: Observations, call: TorchCall) -> tuple[str, float] | None:
    """The layer before a call and its variance times inputs, where weights are that large."""
    layer = _affine_before(seen, call)
    gain = 0.0 if layer is None else _gain(seen, layer.path)
    return (layer.path, gain) if layer is not None and gain > _LARGE else None


def _flat(call: TorchCall) -> float:
    slope = _SLOPES.get(call.name)
    if slope is None:
        return 0.0
    return float((slope(call.out.detach().double()) < _FLAT).double().mean())


def _carried(seen: Observations) -> Iterator[Suspicion]:
    """δ that shrinks or grows on its way to the first layer."""
    ratio, layers = seen.carried, seen.layers
    if len(layers) < 3 or _LOST <= ratio <= _GROWN or not np.isfinite(ratio):
        return
    smooth = {"tanh", "sigmoid"} & {call.name for call in hidden_calls(seen, *POINTWISE)}
    gain = 1.0 if smooth else 2.0
    rate = max(ratio, 1e-30) ** (1 / (len(layers) - 1))
    way = f"shrinks {1 / rate:.2g}x" if ratio < 1 else f"grows {rate:.2g}x"
    deep = len(layers) >= 5
    scheme = "nn.init.xavier_normal_" if smooth else "nn.init.kaiming_normal_"
    what = (
        f"the error δ {way} a layer, and at the first one it is {ratio:.2g} times that at the "
        "last: "
        + (
            f"too deep with {len(layers)} layers for these initial weights"
            if deep
            else f"the initial weights are too {'small' if ratio < 1 else 'large'}"
        )
    )
    yield Suspicion(
        "initial weights",
        tuple(seen.place(layer.call) for layer in layers),
        what,
        f"draw the weights anew with variance {gain:g}/fan-in",
        f"{scheme}(layer.weight); nn.init.zeros_(layer.bias)",
        lambda setup: new_weights(setup, gain),
        MEASURED + 0.3 if ratio > 1 and _loudest(seen) > _LARGE else MEASURED,
    )


def _loudest(seen: Observations) -> float:
    """The largest variance times inputs of a layer's weights."""
    return max(_gain(seen, layer.path) for layer in seen.layers)


def _gain(seen: Observations, path: str) -> float:
    weight = getattr(module_at(seen.setup.module, path), "weight", None)
    if weight is None or weight.dim() < 2:
        return 0.0
    return float(weight.detach().double().square().mean()) * int(weight[0].numel())
