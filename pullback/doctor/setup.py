"""What is trained, and how: a module, its loss, its optimiser and the data, as one value."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from pullback.doctor.lesson import Lesson
from pullback.interop.extras import Late

torch: Any = Late("torch", "torch")


@dataclass(frozen=True)
class Updates:
    """An optimiser that can be made anew: its class, and its groups of parameters and options."""

    kind: Any
    groups: tuple[tuple[tuple[Any, ...], dict[str, Any]], ...]

    @classmethod
    def of(cls, optimizer: Any) -> Updates:
        """That of an optimiser of torch's."""
        groups = []
        for group in optimizer.param_groups:
            options = {k: v for k, v in group.items() if k in optimizer.defaults}
            groups.append((tuple(group["params"]), options))
        return cls(type(optimizer), tuple(groups))

    def held_by(self, module: Any, copied: Any, loss: Any) -> Updates:
        """The same for a copy of a module, without what is neither the module's nor the loss's."""
        theirs = named(copied)
        own = {id(p): theirs[name] for name, p in named(module).items()}
        if isinstance(loss, torch.nn.Module):
            own.update({id(p): p for p in loss.parameters() if id(p) not in own})
        groups = ((tuple(own[id(p)] for p in ps if id(p) in own), o) for ps, o in self.groups)
        return replace(self, groups=tuple(groups))

    @property
    def parameters(self) -> tuple[Any, ...]:
        """Those of all groups."""
        return tuple(p for held, _ in self.groups for p in held)

    @property
    def rate(self) -> float:
        """The learning rate of the first group."""
        return float(self.groups[0][1].get("lr", 0.0))

    @property
    def has_rate(self) -> bool:
        """Do all groups have a learning rate?"""
        return bool(self.groups) and all("lr" in options for _, options in self.groups)

    @property
    def decay(self) -> float:
        """The largest weight decay."""
        return max(float(options.get("weight_decay") or 0.0) for _, options in self.groups)

    @property
    def adaptive(self) -> bool:
        """Does it scale each gradient by what it has been? Plain SGD and its momentum do not."""
        return not issubclass(self.kind, torch.optim.SGD)

    @property
    def descent(self) -> float | None:
        """The rate of plain descent that comes to the same in the long run; None where none does.

        Momentum μ adds up 1 + μ + μ² + … of a slope that stays.
        """
        if self.adaptive:
            return None
        return self.rate / max(1 - self.momentum, 1e-3)

    @property
    def momentum(self) -> float:
        """μ of the first group."""
        return float(self.groups[0][1].get("momentum") or 0.0)

    @property
    def name(self) -> str:
        return str(self.kind.__name__)

    def with_options(self, **options: Any) -> Updates:
        """The same with other options in every group."""
        return replace(self, groups=tuple((held, {**o, **options}) for held, o in self.groups))

    def times(self, factor: float) -> Updates:
        """The same with the learning rate of every group multiplied."""
        return replace(
            self,
            groups=tuple((held, {**o, "lr": float(o["lr"]) * factor}) for held, o in self.groups),
        )

    def another(self, kind: Any, **options: Any) -> Updates:
        """An optimiser of another class for the same parameters."""
        return Updates(kind, ((self.parameters, options),))

    def made(self) -> Any:
        """A new optimiser of torch's."""
        groups = [{"params": list(held), **options} for held, options in self.groups if held]
        return self.kind(groups)

    def holding(self, parameters: Iterable[Any]) -> Updates:
        """The same without what is not among the parameters; new ones join the first group."""
        wanted = {id(p): p for p in parameters}
        held = [(tuple(p for p in ps if id(p) in wanted), o) for ps, o in self.groups]
        for ps, _ in held:
            for p in ps:
                wanted.pop(id(p), None)
        first, options = held[0]
        return replace(self, groups=(((*first, *wanted.values()), options), *held[1:]))


@dataclass(frozen=True)
class TrainingSetup:
    """One training: a module and all that it is trained with.

    X is a tensor, or a tuple or dict of several, (samples, …); Y is a tensor (samples, …).
    """

    module: Any
    loss: Any
    updates: Updates
    X: Any
    Y: Any
    batch: int
    epochs: int
    task: Lesson
    seed: int = 0
    limit: int | None = None  # steps at most, whatever the epochs
    accumulates: bool = False  # does a step add its gradient to that of the step before?

    def __len__(self) -> int:
        return len(self.Y)

    @property
    def steps(self) -> int:
        """How many steps the epochs are."""
        steps = -(-len(self) // self.batch) * self.epochs
        return steps if self.limit is None else min(steps, self.limit)

    def clone(self) -> TrainingSetup:
        """The same with copies of the module and of a loss with weights; the optimiser has them."""
        memo: dict[int, Any] = {}
        module = copy.deepcopy(self.module, memo)
        loss = self.loss
        if isinstance(loss, torch.nn.Module):
            loss = copy.deepcopy(loss, memo)
        groups = tuple(
            (tuple(memo[id(p)] for p in held if id(p) in memo), dict(options))
            for held, options in self.updates.groups
        )
        updates = replace(self.updates, groups=groups)
        return replace(self, module=module, loss=loss, updates=updates)

    def on(self, module: Any) -> TrainingSetup:
        """The same with another module of the same make, whose parameters are called the same."""
        ours, theirs = named(self.module), named(module)
        names = {id(p): name for name, p in ours.items()}
        groups = tuple(
            (tuple(theirs[names[id(p)]] for p in held if names.get(id(p)) in theirs), dict(options))
            for held, options in self.updates.groups
        )
        return replace(self, module=module, updates=replace(self.updates, groups=groups))

    def rows(self, at: Any) -> Any:
        """The inputs of some samples."""
        return each(self.X, lambda x: x[at])

    def some(self, at: Any) -> TrainingSetup:
        """The set-up with some of its samples, by their numbers."""
        task = replace(self.task, truth=self.task.truth[at.numpy()])
        return replace(self, X=self.rows(at), Y=self.Y[at], task=task)

    def call(self, x: Any) -> Any:
        """What the module makes of inputs."""
        if isinstance(x, dict):
            return self.module(**x)
        return self.module(*x) if isinstance(x, tuple) else self.module(x)

    def with_parameters_of(self, module: Any, before: Iterable[Any]) -> TrainingSetup:
        """With an optimiser that holds what is new in a module, and no more what has gone."""
        old = {id(p) for p in before}
        held = {id(p) for p in self.updates.parameters}
        now = [p for p in parameters(module) if id(p) in held or id(p) not in old]
        return replace(self, module=module, updates=self.updates.holding(now))


def each(X: Any, read: Any) -> Any:
    """What is read of an array, or of each in a tuple or a dict of several inputs."""
    if isinstance(X, dict):
        return {name: read(x) for name, x in X.items()}
    return tuple(map(read, X)) if isinstance(X, tuple) else read(X)


def inputs(X: Any) -> tuple[Any, ...]:
    """The inputs as a tuple, however they are given."""
    if isinstance(X, dict):
        return tuple(X.values())
    return X if isinstance(X, tuple) else (X,)


def parts(module: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every module inside by its path, those in plain lists and dicts too."""
    yield path, module
    for name, part in module._modules.items():
        if part is not None:
            yield from parts(part, f"{path}.{name}" if path else name)
    for _, path_, part in hidden(module, path):
        yield from parts(part, path_)


def hidden(module: Any, path: str = "") -> Iterator[tuple[str, str, Any]]:
    """Modules in plain lists, tuples and dicts of a module: torch does not register them.

    Each with the path of what holds it and its own.
    """
    for name, value in vars(module).items():
        if name.startswith("_") or not isinstance(value, list | tuple | dict):
            continue
        holder = f"{path}.{name}" if path else name
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in pairs:
            if isinstance(part, torch.nn.Module):
                yield holder, f"{holder}.{key}", part


def placed(module: Any) -> Iterator[tuple[str, str, Any]]:
    """Every parameter once, with its module's path and its name, those of unregistered ones too."""
    seen: set[int] = set()
    for path, part in parts(module):
        for name, p in part._parameters.items():
            if p is not None and id(p) not in seen:
                seen.add(id(p))
                yield path, f"{path}.{name}" if path else name, p


def named(module: Any) -> dict[str, Any]:
    """Every parameter by its name."""
    return {name: p for _, name, p in placed(module)}


def parameters(module: Any) -> list[Any]:
    """Every parameter, those of unregistered modules too."""
    return list(named(module).values())
