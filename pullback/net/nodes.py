"""A model and a loss as nodes: output, loss, gradients and updates, in one of two modes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, partial
from typing import Any, Self

import numpy as np

from pullback import calculus, ir
from pullback.errors import ConfigError, NotApplicableError, require, shown
from pullback.ir import Add, Axes, Constant, Contract, Graph, Input, Named, Node, Parameter, walk
from pullback.ir.axis import Axis
from pullback.ir.build import scale
from pullback.ir.graph import named_once
from pullback.ir.lookup import index_limits, index_sizes
from pullback.net.build import built, outlined
from pullback.net.equations import check_loss, check_model, idle_equations, stacked_equations
from pullback.net.inputs import BATCH, RESERVED, declared_inputs, shapes
from pullback.nn import Block, Loss, Noise, Scope, named_loss, signature_of


class NetworkNodes:
    """What a network is before anything is computed: its nodes; see ``Network``."""

    def __init__(
        self,
        model: Block,
        loss: Loss | None = None,
        l2: float = 0.0,
        *,
        x: str | Mapping[str, str] = "features",
        weighted: bool = False,
        training: bool = True,
    ) -> None:
        require("model", model, Block, "a block such as Sequential(…)")
        if loss is None:
            raise ConfigError(
                "a network needs a loss, whose error is pulled back; expected one such as "
                "CrossEntropy() for classes or SquaredError() for values"
            )
        require("loss", loss, Loss, "a loss such as CrossEntropy()")
        if isinstance(l2, bool) or not (np.isreal(l2) and np.isfinite(l2) and l2 >= 0):
            raise ConfigError(f"l2 is {shown(l2)}; expected a number from 0")
        self.model, self.criterion, self.l2 = model, loss, float(l2)
        inputs = declared_inputs(x)
        self.declared = x if isinstance(x, str) else dict(x)
        self.shapes = shapes(self.declared)
        ours = None not in (signature_of(model), signature_of(loss))
        require("training", training, bool, "True, or False for evaluation")
        self.training = training
        outline = outlined(model, inputs, ours, training)
        self._made = outline.declared
        self.xs, self.specs = dict(outline.inputs), outline.specs
        if both := [spec.name for spec in self.specs if spec.name in self.xs]:
            raise ConfigError(
                f"{both[0]!r} is the name of an input and of a parameter; give the input another"
            )
        if taken := [spec.name for spec in self.specs if spec.name in RESERVED]:
            raise ConfigError(
                f"a parameter is called {taken[0]!r}, as what a network takes or gives is; put it "
                "into a block with a path, or give it another name"
            )
        names = {*self.xs, *(spec.name for spec in self.specs), *RESERVED}
        if taken := [name for name in self.noise if name in names]:
            raise ConfigError(
                f"the noise {taken[0]!r} has the name of an input, of a parameter, or of what a "
                "network takes or gives; give it another name"
            )
        self.output_axes = outline.axes
        self.target = Input("target", loss.target_axes(outline.axes))
        self.sample_weight = Input("sample_weight", (BATCH,)) if weighted else None
        if not ours:  # what is not pullback's own may raise when it is built
            known = (*self.xs.values(), *(each.leaf for each in self.noise.values()))
            output, updates = self._built
            check_model(self.model, self.specs, (output, *updates), known)
            check_loss(self.criterion, self.total, self.leaves)

    @property
    def x(self) -> Input:
        """The network's only input; raises NotApplicableError where it has several."""
        if len(self.xs) > 1:
            raise NotApplicableError(
                f"this network has the inputs {', '.join(self.xs)}; expected one with one input"
            )
        return next(iter(self.xs.values()))

    @property
    def inputs(self) -> tuple[Input, ...]:
        """What a batch gives: x, target, and sample_weight if the network is weighted; noise."""
        weight = () if self.sample_weight is None else (self.sample_weight,)
        noise = (each.leaf for each in self.noise.values())
        return (*self.xs.values(), self.target, *weight, *noise)

    @property
    def n_in(self) -> int | None:
        """How many features a sample has; None if any number will do."""
        return self.x.axes[-1].size if self.x.axes[1:] else 1

    @property
    def n_out(self) -> int | None:
        """How many outputs the model has; None if as many as features."""
        return self.output_axes[-1].size if self.output_axes[1:] else 1

    @cached_property
    def index_sizes(self) -> dict[str, int]:
        """For each input whose numbers say what is looked up, of how many."""
        whole = any(leaf.whole for leaf in self.xs.values())
        return index_sizes(self.built) if whole else {}

    @cached_property
    def index_limits(self) -> list[tuple[str, Axis, tuple[int, ...]]]:
        """For inputs whose columns look up rows of their own: the columns, and their limits."""
        return index_limits(self.built) if self.index_sizes else []

    @property
    def trained(self) -> tuple[str, ...]:
        """The names of the parameters that training changes; the others are frozen."""
        return tuple(spec.name for spec in self.specs if spec.trained)

    def signature(self) -> str | None:
        """A text that is the same for equal networks only; None if a part is not pullback's own.

        >>> import pullback as pb
        >>> pb.Network(pb.Identity(), pb.SquaredError()).signature()
        "pullback.nn.activation.Identity() pullback.nn.loss.values.SquaredError('mean') l2=0x0.0p+0"
        """
        parts = signature_of(self.model), signature_of(self.criterion)
        if None in parts:
            return None
        weighted = "" if self.sample_weight is None else " weighted"
        x = "" if self.declared == "features" else f" x={self.declared!r}"
        mode = " eval" if self.two_modes and not self.training else ""
        return f"{parts[0]} {parts[1]} l2={self.l2.hex()}{x}{weighted}{mode}"

    @cached_property
    def output(self) -> Node:
        """The model's output (batch, …, outputs)."""
        return self._simplified[0]

    @cached_property
    def graph(self) -> Graph:
        """The forward pass: its output, its loss and its updates, with what they need."""
        return Graph({"output": self.output, "loss": self.total, **self._updating}, BATCH)

    @cached_property
    def built_graph(self) -> Graph:
        """The output as the blocks build it: equations that cancel out of it still stand there."""
        return Graph({"output": self.built}, BATCH)

    @cached_property
    def total(self) -> Node:
        """The loss of the batch, a scalar, penalty included."""
        return self._simplified[1]

    @cached_property
    def updates(self) -> dict[str, Node]:
        """The next value of each state, such as a running mean, by the state's name."""
        if not self._made.updates:
            return {}
        return dict(zip(self._made.updates, self._simplified[2:], strict=True))

    @cached_property
    def update_keys(self) -> dict[str, str]:
        """What a program calls the next value of each state, by the state's name."""
        return {name: str(each.label) for name, each in self._made.updates.items()}

    @property
    def _updating(self) -> dict[str, Node]:
        return {key: self.updates[name] for name, key in self.update_keys.items()}

    @cached_property
    def _simplified(self) -> tuple[Node, ...]:
        output = self.built
        total = named_loss(
            self.criterion, output, self.target, self._penalty(output), self.sample_weight
        )
        return ir.simplify(output, total, *self._built[1])

    @property
    def built(self) -> Node:
        """The output as the blocks build it: what cancels later still stands in it."""
        return self._built[0]

    @property
    def noise(self) -> Mapping[str, Noise]:
        """The inputs that are drawn anew for each batch, with their laws, by name."""
        return self._made.noise

    @property
    def several(self) -> Mapping[str, Axes]:
        """The axes over which a block takes a variance across samples, by the block's path."""
        return self._made.several

    @property
    def two_modes(self) -> bool:
        """Is something in it not in evaluation what it is in training?"""
        return self._made.two_modes

    @cached_property
    def _built(self) -> tuple[Node, tuple[Named, ...]]:
        """The output and the updates."""
        at = Scope.top(self.training)
        return built(self.model, self.xs, at), tuple(at.declarations.updates.values())

    def _penalty(self, output: Node) -> Node | None:
        if not self.l2:
            return None
        weights = {s.name for s in self.specs if s.kind == "weight" and s.trained}
        squares = tuple(
            Contract((leaf, leaf), ())
            for leaf in walk((output,))
            if isinstance(leaf, Parameter) and leaf.name in weights
        )
        return scale(self.l2 / 2, Add(squares)) if squares else None

    @cached_property
    def weighted(self) -> Self:
        """The same network with a weight for each sample."""
        return self if self.sample_weight is not None else self._like(weighted=True)

    def train(self) -> Self:
        """The network in training mode; itself where it is, or where nothing depends on it."""
        return self if self.training or not self.two_modes else self._other_mode

    def eval(self) -> Self:
        """The network in evaluation mode, in which batch norm uses what it has learnt of the data
        and dropout is absent; itself where nothing depends on the mode.

        >>> import pullback as pb
        >>> net = pb.Network(pb.Sequential(pb.Linear(2, 3), pb.BatchNorm1d(3)), pb.MSELoss())
        >>> net.eval().training, net.eval().train() is net
        (False, True)
        """
        return self if not self.training or not self.two_modes else self._other_mode

    @cached_property
    def _other_mode(self) -> Self:
        other = self._like(training=not self.training)
        other._other_mode = self
        return other

    def for_targets(self, target: np.ndarray[Any, Any]) -> Self:
        """The network with the loss that these targets mean, which may leave some of them out."""
        loss = self.criterion.for_targets(target)
        if loss is self.criterion:
            return self
        if loss not in self._by_loss:
            self._by_loss[loss] = self._like(loss)
        return self._by_loss[loss]

    @cached_property
    def _by_loss(self) -> dict[Loss, Self]:
        return {}

    def _like(self, loss: Loss | None = None, **options: bool) -> Self:
        mine = {"weighted": self.sample_weight is not None, "training": self.training}
        chosen = self.criterion if loss is None else loss
        return type(self)(self.model, chosen, self.l2, x=self.declared, **{**mine, **options})

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """The parameter leaves by name, in the order of the state dict."""
        leaves = {n.name: n for n in walk((self.built,)) if isinstance(n, Parameter)}
        # a state is in one mode only among what the output is computed from
        states = {s.name: Parameter(s.name, s.over, False) for s in self.specs if s.kind == "state"}
        return {spec.name: {**states, **leaves}[spec.name] for spec in self.specs}

    @property
    def trained_leaves(self) -> dict[str, Parameter]:
        """Those that training changes."""
        return {name: self.parameters[name] for name in self.trained}

    @cached_property
    def gradients(self) -> dict[str, Named]:
        """∂loss/∂parameter by name: nodes that share every δ."""
        leaves = self.trained_leaves.values()
        found = calculus.gradients(self.total, leaves, beside=(self.output,))
        specs = (spec for spec in self.specs if spec.trained)
        return {
            spec.name: Named(spec.place.gradient(spec.place.part), node)
            for spec, node in zip(specs, found, strict=True)
        }

    @cached_property
    def equations(self) -> dict[str, Named]:
        """Every named equation, forward and backward, in an order in which it can be computed."""
        turns = stacked_equations((self.output,))
        return named_once((*self.idle, *turns, self.output, self.total, *self.gradients.values()))

    @cached_property
    def idle(self) -> tuple[Named, ...]:
        """The equations that cancel out of the loss, as z before x**0 does, and their δ: 0."""
        alive = {n.name: n for n in walk((self.output, self.total)) if isinstance(n, Named)}
        found = idle_equations(self.built, alive)
        errors = (
            Named(each.label.delta, Constant(0.0, each.axes)) for each in found if each.role == "z"
        )
        return (*found, *errors)

    @property
    def training_roots(self) -> dict[str, Node]:
        """What a step of training computes: output, loss, gradients and the updates of states."""
        forward = {"output": self.output, "loss": self.total}
        return {**forward, **self._updating, **self._backwards}

    @property
    def leaves(self) -> tuple[Parameter | Input, ...]:
        """What a program of the network takes: its parameters, then its data."""
        return (*self.parameters.values(), *self.inputs)

    @property
    def _backwards(self) -> dict[str, Node]:
        # the last layer's gradient first: its δ is then free for the layers before
        return dict(reversed(self.gradients.items()))

    def __reduce__(self) -> tuple[Any, ...]:
        # compiled programs stay behind; a copy makes its own when they are needed
        weighted = self.sample_weight is not None
        make = partial(type(self), x=self.declared, weighted=weighted, training=self.training)
        return make, (self.model, self.criterion, self.l2)

    def __repr__(self) -> str:
        penalty = f", l2={self.l2:g}" if self.l2 else ""
        x = f", x={self.declared!r}" if self.declared != "features" else ""
        mode = ", training=False" if self.two_modes and not self.training else ""
        return f"Network({self.model!r}, loss={self.criterion!r}{penalty}{x}{mode})"
