"""Where a block builds: its path, its parameters, and the names of its equations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np

from pullback.errors import ConfigError, ShapeError, finite, require, shown
from pullback.ir import Axes, Axis, Input, Label, Named, Node, Parameter, Role
from pullback.ir.axis import show
from pullback.ir.build import with_axes
from pullback.nn.noise import Noise, NoiseLaw

Law = Literal["weight", "bias"] | float
Kind = Literal["weight", "bias", "constant", "state"]


@dataclass(frozen=True)
class ParameterSpec:
    """One array of the state dict; its shape is torch's, weights are (out, in).

    ``kind`` says how it starts: drawn as a weight or as a bias by the scheme, or every entry at
    ``start``, which may be an array. A weight whose ``start`` is a scheme is drawn by that one. A
    frozen one, which is not ``trained``, has no gradient; a "state" has none either, starts at
    ``start`` and is updated by each step of training.
    """

    name: str
    shape: tuple[int, ...]
    kind: Kind
    n_in: int
    n_out: int
    over: Axes = ()
    start: Any = field(default=0.0, compare=False)
    trained: bool = True
    label: Label | None = None

    @property
    def axes(self) -> tuple[tuple[str, int], ...]:
        """The axes by name with their sizes: (out, in) or (out) where they are a layer's."""
        plain = ("out", "in")[: len(self.shape)]
        names = plain if len(self.shape) < 3 else tuple(axis.name for axis in self.over)
        return tuple(zip(names, self.shape, strict=True))

    @property
    def drawn(self) -> bool:
        """Does it start as the scheme draws it, and not at ``start``?"""
        return self.kind in ("weight", "bias")

    @property
    def place(self) -> Label:
        """Where its block stands, and what it is there."""
        # one that somebody wrote by hand has a name only
        return self.label if self.label is not None else Label.of_parameter(self.name)


class Buildable(Protocol):
    """A block, as far as a scope asks it."""

    keeps_axes: ClassVar[bool]

    @property
    def n_in(self) -> int | None: ...
    def build(self, x: Any, at: Scope) -> Node: ...
    def declared(self, at: Scope) -> Iterable[ParameterSpec]: ...


@runtime_checkable
class Drawn(Protocol):
    """A scheme, as far as a parameter that is drawn by one of its own asks it."""

    def weight(self, spec: ParameterSpec, rng: np.random.Generator) -> np.ndarray[Any, Any]: ...


@dataclass
class Declarations:
    """What the blocks of one model have declared; all its scopes have it in common.

    ``updates`` are the next values of states, by the states' names; ``several`` the axes over which
    a block at some path takes a variance.
    """

    specs: dict[str, ParameterSpec] = field(default_factory=dict)
    sizes: dict[Axis, int] = field(default_factory=dict)
    updates: dict[str, Named] = field(default_factory=dict)
    noise: dict[str, Noise] = field(default_factory=dict)
    several: dict[str, Axes] = field(default_factory=dict)
    outline: bool = False
    training: bool = True
    two_modes: bool = False


class Scope(str):
    """A place in a model, as text its path; what is made here has its names from it.

    >>> from pullback.ir import Axis, Contract, Input
    >>> at, x = Scope("1"), Input("x", (Axis("batch"), Axis("features", 3)))
    >>> W = at.parameter("weight", (Axis("units", 2), Axis("features", 3)))
    >>> at.z(Contract((x, W), (Axis("batch"), Axis("units", 2)))), at.specs[0].shape
    (Named('z.1', (batch, units=2)), (2, 3))
    """

    declarations: Declarations

    def __new__(cls, path: str = "", record: Declarations | None = None) -> Scope:
        at = super().__new__(cls, path)
        held = path.declarations if isinstance(path, Scope) else Declarations()
        at.declarations = record or held
        return at

    @classmethod
    def outline(cls, training: bool = True) -> Scope:
        """One in which blocks that keep the axes and have no parameters build nothing."""
        return cls("", Declarations(outline=True, training=training))

    @classmethod
    def top(cls, training: bool) -> Scope:
        """That of a model in one of its two modes."""
        return cls("", Declarations(training=training))

    @property
    def training(self) -> bool:
        """Is the model being trained, or evaluated? A block that asks has two modes."""
        self.declarations.two_modes = True
        return self.declarations.training

    @property
    def specs(self) -> tuple[ParameterSpec, ...]:
        """The parameters that have been made, in this order."""
        return tuple(self.declarations.specs.values())

    def inside(self, part: str | int) -> Scope:
        """The place of a part: ``2.block`` and ``0`` make ``2.block.0``."""
        return Scope(f"{self}.{part}" if self else str(part), self.declarations)

    def at(self, path: str) -> Scope:
        """Another place in the same model."""
        return Scope(path, self.declarations)

    def build(self, block: Buildable, x: Any) -> Node:
        """What a block makes of x here."""
        if self.declarations.outline and block.keeps_axes and isinstance(x, Node):
            return x
        if isinstance(x, Node) and x.axes[1:] and x.axes[-1].size is None and block.n_in:
            self.declarations.sizes.setdefault(x.axes[-1], block.n_in)
        node: object = self._built(block, x)
        if not isinstance(node, Node):
            kind = type(node).__name__
            raise ShapeError(f"{block!r} at {self.where} builds a {kind}; expected a node")
        for spec in block.declared(self):
            self.declarations.specs.setdefault(spec.name, spec)
        return node

    def _built(self, block: Buildable, x: Any) -> object:
        try:
            return block.build(x, self)
        except (AttributeError, TypeError) as fault:
            if not isinstance(x, Mapping):
                raise
            raise ConfigError(
                f"{block!r} at {self.where} is not for the inputs {', '.join(x)}, which come as a "
                f"dict of nodes by name ({fault}); begin with a block that takes them all"
            ) from fault

    @property
    def where(self) -> str:
        """The place as messages call it."""
        return repr(str(self)) if self else "the top"

    def parameter(
        self,
        part: str,
        axes: Axes,
        law: Law | Drawn | np.ndarray[Any, Any] = "weight",
        trained: bool = True,
        fan_out: int | None = None,
    ) -> Parameter:
        """A parameter of the block, (out, in) where it is a matrix, under the block's path.

        ``law`` says how it starts: a "weight" or a "bias" is drawn by the scheme, a number is what
        every entry starts at, an array is where it starts, a scheme such as ``init.he()`` draws it
        whatever the network's is. ``fan_out`` is how many numbers an input takes part in: by
        default as many as the first axis is long.
        Raises ConfigError where the name has other axes already, ShapeError for one without size.
        """
        return self._made(part, axes, law, trained, "constant", fan_out)

    def _made(
        self,
        part: str,
        axes: Axes,
        law: Any,
        trained: bool,
        undrawn: Kind,
        fan_out: int | None = None,
    ) -> Parameter:
        """The parameter; it is of the kind ``undrawn`` where a law draws nothing."""
        name, axes = self._checked(part, axes, law, trained)
        drawn: Kind = "bias" if isinstance(law, str) and law == "bias" else "weight"
        kind = drawn if isinstance(law, (str, Drawn)) else undrawn
        for axis in axes:
            if (self.declarations.sizes.get(axis) or axis.size) is None:
                raise ShapeError(
                    f"the parameter {name!r} has the axis {axis.name!r}, whose size is not known "
                    "here; say the input's sizes, as in Network(…, x='features=8')"
                )
        shape = tuple(self.declarations.sizes.get(axis) or axis.size or 0 for axis in axes)
        fan_in = prod(shape[1:]) if len(shape) > 1 else shape[0] if shape else 1
        if kind == "bias":
            fan_in = self._fan_in(axes) or fan_in
        self._declare(
            ParameterSpec(
                name,
                shape,
                kind,
                fan_in,
                fan_out or (shape[0] if shape else 1),
                axes,
                0.0 if isinstance(law, str) else law,
                trained,
                Label("value", str(self), part),
            )
        )
        return Parameter(name, axes, trained)

    def state(self, part: str, axes: Axes, start: float | np.ndarray[Any, Any] = 0.0) -> Parameter:
        """A parameter without a gradient, whose entries start at a number, or at an array's.

        It stays what it is until a step of training replaces it by its ``update``.
        """
        return self._made(part, axes, start, False, "state")

    def update(self, state: Parameter, node: Node) -> None:
        """The equation that gives a state its value after a step; no gradient goes through it.

        Raises ConfigError for what is no state of this block, or one that has an update already.
        """
        spec = self.declarations.specs.get(state.name)
        if spec is None or spec.kind != "state" or spec.place.path != self:
            raise ConfigError(
                f"{state.name!r} is no state of the block at {self.where}; make it with at.state(…)"
            )
        if state.name in self.declarations.updates:
            raise ConfigError(f"the state {state.name!r} has two updates; expected one")
        if set(node.axes) != set(state.axes):
            raise ShapeError(
                f"the update of {state.name!r} has the axes {show(node.axes)}; expected "
                f"{show(state.axes)}"
            )
        label = spec.place.update
        self.declarations.updates[state.name] = Named(label, with_axes(node, state.axes))

    def noise(self, part: str, axes: Axes, law: NoiseLaw) -> Input:
        """An input that is drawn by a law, anew for each batch, and not given with the data."""
        name = f"{self}.{part}" if self else part
        leaf = Input(name, axes)
        self.declarations.noise[name] = Noise(leaf, law)
        return leaf

    def several(self, axes: Axes) -> None:
        """Say that the block needs two or more entries over these axes, as a variance does."""
        self.declarations.several[str(self)] = axes

    def _checked(self, part: Any, axes: Any, law: Any, trained: Any) -> tuple[str, Axes]:
        """The parameter's name and axes; raises ConfigError for what says none."""
        require(f"the name of a parameter at {self.where}", part, str, "a text such as 'weight'")
        name = f"{self}.{part}" if self else part
        if not isinstance(axes, (tuple, list)) or not all(isinstance(a, Axis) for a in axes):
            raise ConfigError(
                f"the parameter {name!r} has the axes {shown(axes)}; expected a tuple of Axis, as "
                "at.axis('units', 8)"
            )
        if not isinstance(law, (np.ndarray, Drawn)) and law not in ("weight", "bias"):
            finite(f"the parameter {name!r}: its law, which is 'weight', 'bias' or a number,", law)
        require(f"the parameter {name!r}: trained", trained, bool, "True, or False if frozen")
        return name, tuple(axes)

    def _fan_in(self, axes: Axes) -> int | None:
        """That of the weight of this block that gives what a bias of these axes is added to."""
        specs = reversed(self.declarations.specs.values())
        here = [each for each in specs if each.kind == "weight" and each.place.path == self]
        beside = [each for each in here if each.over[: len(axes)] == axes]
        # a block's only weight may have its output on other axes, as a transposed convolution's
        return next((each.n_in for each in (*beside, *(here if len(here) == 1 else ()))), None)

    def _declare(self, spec: ParameterSpec) -> None:
        known = self.declarations.specs.setdefault(spec.name, spec)
        if known != spec:
            raise ConfigError(
                f"two parameters are called {spec.name!r}, with the axes {show(known.over)} and "
                f"{show(spec.over)}; a block's name is its own, and a weight that is used again "
                "has its axes renamed"
            )

    def sized(self, axis: Axis, size: int, who: object) -> Axis:
        """The axis, which has to have this size; where it has none, this is learnt.

        Raises ShapeError, naming the block and the place, where it has another.
        """
        known = self.declarations.sizes.setdefault(axis, size) if axis.size is None else axis.size
        if known != size:
            raise ShapeError(
                f"{who} at {self.where} takes {size} features, "
                f"but what comes in has the axis {axis!r}"
            )
        return axis

    @property
    def sizes(self) -> Mapping[Axis, int]:
        """The sizes that blocks ask of axes that had none."""
        return self.declarations.sizes

    def axis(self, name: str, size: int) -> Axis:
        """An axis of the block's own: ``units.2`` for a block at 2."""
        return Axis(f"{name}.{self}" if self else name, size)

    def z(self, node: Node, part: str = "") -> Named:
        """A pre-activation, whose cotangent is δ."""
        return self._named("z", node, part)

    def a(self, node: Node, part: str = "") -> Named:
        """An activation, or what leaves a block."""
        return self._named("a", node, part)

    def stat(self, node: Node, part: str) -> Named:
        """A statistic on the way: a mean, a variance, the row sums of a softmax."""
        return self._named("stat", node, part)

    def _named(self, role: Role, node: Node, part: str) -> Named:
        return Named(Label(role, str(self), part), node)
