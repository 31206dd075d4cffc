"""An initialisation as torch's own calls: as lines to paste, and done to a module in place."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pullback.errors import ConfigError, ShapeError, unknown
from pullback.interop.extras import library
from pullback.nn import ParameterSpec, init

_DENSE = ("Linear", "Conv1d", "Conv2d", "Conv3d")  # their fan-in is what torch takes it to be
_TRANSPOSED = ("ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d")
_OTHERS = ("MultiheadAttention", "RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell")
_FAN = "weight[0].numel() ** 0.5"


@dataclass(frozen=True)
class ParameterPlace:
    """Where a module holds a parameter: as ``part`` of the module at ``path``, which is a ``kind``.

    ``fan_in`` is how many numbers go into one that a transposed convolution computes, else None;
    ``kind`` is the name of a class of torch's, or empty.
    """

    name: str
    path: str
    kind: str
    part: str
    shape: tuple[int, ...]
    fan_in: int | None
    trained: bool


def places_of(module: Any) -> dict[str, ParameterPlace]:
    """Every parameter of a module by name, a shared one under each of its names."""
    nn = library("torch", "torch").nn
    found: dict[str, ParameterPlace] = {}
    for path, part in module.named_modules(remove_duplicate=False):
        kinds = (name for name in (*_DENSE, *_TRANSPOSED, *_OTHERS))
        kind = next((name for name in kinds if isinstance(part, getattr(nn, name))), "")
        for own, tensor in part.named_parameters(recurse=False):
            name, shape = f"{path}.{own}" if path else own, tuple(tensor.shape)
            fan: int | None = None
            if kind in _TRANSPOSED and own == "weight":
                taps = math.prod(shape[2:]) / math.prod(part.stride)
                fan = max(1, round(part.in_channels / part.groups * taps))
            trained = bool(tensor.requires_grad)
            found[name] = ParameterPlace(name, path, kind, own, shape, fan, trained)
    return found


@dataclass(frozen=True)
class InitCall:
    """One of ``torch.nn.init``'s functions with its options; ``by_fan`` divides std by √fan-in."""

    function: str
    options: tuple[tuple[str, float | str], ...] = ()
    by_fan: bool = False

    def text(self, tensor: str, module: str = "m") -> str:
        """The line that does it to a tensor."""
        given = "".join(f", {name}={_quoted(value)}" for name, value in self.options)
        fan = f" / {module}.{_FAN}" if self.by_fan else ""
        return f"nn.init.{self.function}({tensor}{given}{fan})"

    def run(self, functions: Any, tensor: Any, generator: Any) -> None:
        """Do it; what is drawn comes from the generator."""
        options: dict[str, Any] = dict(self.options)
        if self.by_fan:
            options["std"] /= tensor[0].numel() ** 0.5
        if self != _ZEROS:
            options["generator"] = generator
        getattr(functions, self.function)(tensor, **options)


_ZEROS = InitCall("zeros_")


@dataclass(frozen=True)
class ModuleStep:
    """Calls for the parts of some modules: all of some kinds, or those at some paths."""

    kinds: tuple[str, ...]
    paths: tuple[str, ...]
    calls: tuple[tuple[str, InitCall], ...]
    optional: tuple[str, ...] = ()  # parts that not every one of the modules has

    def lines(self) -> Iterator[str]:
        """As lines of Python."""
        if not self.kinds and len(self.paths) == 1:
            at = f"model.get_submodule({self.paths[0]!r})" if self.paths[0] else "model"
            yield from (call.text(f"{at}.{part}", at) for part, call in self.calls)
            return
        if self.kinds:
            kinds = ", ".join(f"nn.{kind}" for kind in self.kinds)
            yield "for m in model.modules():"
            yield f"    if isinstance(m, {kinds if len(self.kinds) == 1 else f'({kinds})'}):"
            margin = " " * 8
        else:
            yield f"for m in map(model.get_submodule, {list(self.paths)}):"
            margin = " " * 4
        for part, call in self.calls:
            if part in self.optional:
                yield f"{margin}if m.{part} is not None:"
                yield f"{margin}    {call.text(f'm.{part}')}"
            else:
                yield margin + call.text(f"m.{part}")

    def run(self, torch: Any, module: Any, generator: Any) -> None:
        """Do it to a module."""
        if self.kinds:
            kinds = tuple(getattr(torch.nn, kind) for kind in self.kinds)
            modules = [each for each in module.modules() if isinstance(each, kinds)]
        else:
            modules = [module.get_submodule(path) for path in self.paths]
        for each in modules:
            for part, call in self.calls:
                if getattr(each, part) is not None:
                    call.run(torch.nn.init, getattr(each, part), generator)


@dataclass(frozen=True)
class InitRecipe:
    """torch's calls that draw some parameters of a module anew, in their order."""

    steps: tuple[ModuleStep, ...]

    def code(self) -> str:
        """The calls as lines of Python, for a module called ``model``.

        After ``torch.manual_seed(seed)`` they do what ``run(module, seed)`` does.
        """
        return "\n".join(line for step in self.steps for line in step.lines())

    def run(self, module: Any, seed: int = 0) -> Any:
        """Make the calls; whatever else the module holds stays."""
        torch = library("torch", "torch")
        generator = torch.Generator().manual_seed(seed)
        for step in self.steps:
            step.run(torch, module, generator)
        return module


def recipe(
    places: Mapping[str, ParameterPlace], specs: Iterable[ParameterSpec], scheme: init.Scheme
) -> InitRecipe:
    """The calls that draw parameters of a module as a scheme does.

    Raises UnknownNameError, ShapeError or ConfigError for a module that lacks one of them, holds it
    in another shape, or frozen.
    """
    specs = list(specs)
    for spec in specs:
        _check(places, spec)
    weights = [places[spec.name] for spec in specs if spec.kind == "weight"]
    fans = {spec.name: _fan(spec, places[spec.name]) for spec in specs}
    biases = [places[spec.name] for spec in specs if spec.kind == "bias"]
    dense = [p for p in weights if p.kind in _DENSE and p.part == "weight"]
    beside = {p.path for p in biases if p.part == "bias"}
    steps = list(_dense(places, dense, beside, scheme))
    rest = [(p, _explicit(scheme, fans[p.name])) for p in weights if p not in dense]
    steps += _others(places, rest)
    done = {p.path for p in dense}
    zeros = [p for p in biases if p.path not in done or p.part != "bias"]
    steps += [ModuleStep((), (p.path,), ((p.part, _bias(scheme)),)) for p in zeros]
    return InitRecipe(tuple(steps))


def law_of(scheme: init.Scheme, spec: ParameterSpec, place: ParameterPlace) -> init.Scheme:
    """The scheme for one weight: by the fan-in that it has, where its shape does not say it."""
    fan = _fan(spec, place)
    if fan == math.prod(spec.shape[1:]) or scheme.entries == "orthogonal":
        return scheme
    return init.normal(std=_std(scheme, fan), fan_in=False, bias_std=scheme.bias_std)


def _fan(spec: ParameterSpec, place: ParameterPlace) -> int:
    return place.fan_in or spec.n_in


def _check(places: Mapping[str, ParameterPlace], spec: ParameterSpec) -> None:
    if spec.name not in places:
        raise unknown("parameter of the module:", spec.name, places)
    place = places[spec.name]
    if place.shape != spec.shape:
        raise ShapeError(
            f"{spec.name} has shape {place.shape} in the module; expected {spec.shape}"
        )
    if not place.trained:
        raise ConfigError(
            f"{spec.name} is frozen in the module (requires_grad is False), so it is not drawn "
            "anew; unfreeze it first, or leave the module as it is"
        )


def _dense(
    places: Mapping[str, ParameterPlace],
    chosen: Sequence[ParameterPlace],
    drawn: set[str],
    scheme: init.Scheme,
) -> Iterator[ModuleStep]:
    """Of Linear and convolutions: one loop for those whose bias is drawn too, one for the others.

    ``drawn`` are the paths of the modules whose bias is.
    """
    biased = {p.path for p in places.values() if p.part == "bias"}
    for with_bias in (True, False):
        group = [p for p in chosen if (p.path in drawn or p.path not in biased) == with_bias]
        kinds = {place.kind for place in group}
        paths = {place.path for place in group}
        if not group:
            continue
        calls = [("weight", _call(scheme))]
        if with_bias and paths & biased:
            calls.append(("bias", _bias(scheme)))
        every = {p.path for p in places.values() if p.kind in kinds} == paths
        yield ModuleStep(
            tuple(kind for kind in _DENSE if kind in kinds) if every else (),
            () if every else tuple(place.path for place in group),
            tuple(calls),
            () if paths <= biased else ("bias",),
        )


def _others(
    places: Mapping[str, ParameterPlace], chosen: Sequence[tuple[ParameterPlace, InitCall]]
) -> Iterator[ModuleStep]:
    """Of other modules: one loop where all of a kind are drawn alike, else one by one."""
    left = list(chosen)
    while left:
        first, call = left[0]
        same = [each for each in left if each[0].kind == first.kind and each[0].part == first.part]
        every = {p.path for p in places.values() if p.kind == first.kind}
        alike = {made for _, made in same} == {call} and every == {p.path for p, _ in same}
        group = same if first.kind and alike else left[:1]
        left = [each for each in left if each not in group]
        if len(group) > 1:
            yield ModuleStep((first.kind,), (), ((first.part, call),))
        else:
            yield ModuleStep((), (first.path,), ((first.part, call),))


def _call(scheme: init.Scheme) -> InitCall:
    """The function that draws a weight by its own fan-in."""
    match scheme:
        case init.Orthogonal():
            return InitCall("orthogonal_", (("gain", _six(scheme.gain)),))
        case init.Normal(fan_in=True, average=0.0):
            return InitCall("normal_", (("std", _six(scheme.std)),), by_fan=True)
        case init.Scaled(fan="in", gain=1.0, numerator=2.0, distribution="normal"):
            return InitCall("kaiming_normal_", (("nonlinearity", "relu"),))
        case init.Scaled(fan="in", gain=1.0, numerator=1.0, distribution="normal"):
            return InitCall("kaiming_normal_", (("nonlinearity", "linear"),))
    raise ConfigError(f"torch has no call for {scheme!r}")


def _explicit(scheme: init.Scheme, fan: int) -> InitCall:
    """The same with the standard deviation as a number."""
    if scheme.entries == "orthogonal":
        return _call(scheme)
    return InitCall("normal_", (("std", _std(scheme, fan)),))


def _std(scheme: init.Scheme, fan: int) -> float:
    """The standard deviation of a weight."""
    return _six(math.sqrt(scheme.variance(fan, 1)))


def _bias(scheme: init.Scheme) -> InitCall:
    return InitCall("normal_", (("std", _six(scheme.bias_std)),)) if scheme.bias_std else _ZEROS


def _six(value: float) -> float:
    """Six digits: what is printed is what is drawn by."""
    return float(f"{value:.6g}")


def _quoted(value: float | str) -> str:
    return f'"{value}"' if isinstance(value, str) else f"{value:.6g}"
