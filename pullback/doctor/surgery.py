"""Changes to a module, in place: a part put in the place of another, inserted, or left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pullback.doctor.setup import TrainingSetup, parameters, parts
from pullback.doctor.suspicion import Change
from pullback.doctor.tape import Recording, TorchCall, prediction
from pullback.interop.extras import Late

torch: Any = Late("torch", "torch")


def module_at(module: Any, path: str) -> Any:
    """The part at a path, in plain lists too."""
    return next((part for at, part in parts(module) if at == path), None)


def put(setup: TrainingSetup, path: str, made: Any) -> TrainingSetup:
    """Put a part in the place of the one at a path, which it may hold."""
    before = parameters(setup.module)
    old = module_at(setup.module, path)
    if not path:
        return setup.with_parameters_of(made, before)
    for _, part in list(parts(setup.module)):  # all, before the new one is among them
        for name, value in part._modules.items():
            if value is old:
                part._modules[name] = made
        for value in vars(part).values():
            if isinstance(value, list):
                value[:] = [made if each is old else each for each in value]
    return setup.with_parameters_of(setup.module, before)


def after(setup: TrainingSetup, path: str, made: Any) -> TrainingSetup:
    """Put a part behind the one at a path: the two stand in its place, so that paths stay."""
    return put(setup, path, torch.nn.Sequential(module_at(setup.module, path), made))


def stands_alone(setup: TrainingSetup, call: TorchCall) -> bool:
    """Is the call all that the module at its path does, as in ``nn.Sigmoid``?"""
    part = module_at(setup.module, call.path)
    return part is not None and of_torch(part) and not part._modules and not part._parameters


def of_torch(part: Any) -> bool:
    """Is the class of a part one of torch's?"""
    return type(part).__module__.startswith("torch.nn.modules")


def without(setup: TrainingSetup, tape: Recording, call: TorchCall) -> Change:
    """The change that leaves a call out: what it was given passes."""
    return instead(setup, tape, call, torch.nn.Identity, lambda x: x)


def instead(
    setup: TrainingSetup,
    tape: Recording,
    call: TorchCall,
    kind: Callable[[], Any],
    function: Callable[[Any], Any],
) -> Change:
    """The change that puts another function in the place of a call: a module of a kind, or where
    the call stands in the code of somebody's ``forward``, the function."""
    if stands_alone(setup, call):
        return lambda found: put(found, call.path, kind())
    turn = [each for each in tape.calls if each.name == call.name].index(call)

    def changed(found: TrainingSetup) -> TrainingSetup:
        return replace(found, module=rerouted(found.module, call.name, turn, function))

    return changed


def rerouted(module: Any, name: str, turn: int, function: Callable[[Any], Any]) -> Any:
    """The module, with a function in the place of the n-th call by that name."""

    base: Any = torch.nn.Module
    mode: Any = torch.overrides.TorchFunctionMode

    class Rerouted(base):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.inner = module

        def forward(self, *args: Any, **options: Any) -> Any:
            seen = [0]

            class Other(mode):  # type: ignore[misc]
                def __torch_function__(
                    self, call: Any, types: Any, a: Any = (), o: Any = None
                ) -> Any:
                    own = (getattr(call, "__name__", "").removesuffix("_") or str(call)) == name
                    seen[0] += own
                    if own and seen[0] == turn + 1:
                        return function(a[0])
                    return call(*a, **(o or {}))

            with Other():
                return self.inner(*args, **options)

    return Rerouted()


def first_of(module: Any) -> Any:
    """The module, giving only the first tensor of what it gives."""

    base: Any = torch.nn.Module

    class First(base):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.inner = module

        def forward(self, *args: Any, **options: Any) -> Any:
            return prediction(self.inner(*args, **options))

    return First()


def new_weights(setup: TrainingSetup, gain: float) -> TrainingSetup:
    """Draw the weights of every layer anew: N(0, gain / fan-in), biases 0."""
    torch.manual_seed(setup.seed)
    with torch.no_grad():
        for _, part in parts(setup.module):
            for p in part._parameters.values():
                if p is None or not torch.is_floating_point(p):
                    continue
                if type(part).__name__.startswith(("Linear", "Conv")):
                    if p.dim() > 1:
                        p.normal_(0, (gain / (p[0].numel())) ** 0.5)
                    else:
                        p.zero_()
                elif hasattr(part, "reset_parameters"):
                    part.reset_parameters()
                    break
    return setup
