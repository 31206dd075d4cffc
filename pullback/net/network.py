"""A network with its loss: forward, backward and everything by name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, partial
from math import prod
from typing import Any

import numpy as np

from pullback import calculus, ir
from pullback.errors import ConfigError, NonFiniteError, NotApplicableError, require, shown, whole
from pullback.ir import Add, Constant, Contract, Graph, Input, Named, Node, Parameter, walk
from pullback.ir.build import scale
from pullback.ir.graph import named_once
from pullback.net.build import built, outlined
from pullback.net.checks import (
    checked_batch,
    checked_dtype,
    checked_inputs,
    checked_parameters,
    checked_weights,
    dtype_of,
)
from pullback.net.equations import check_loss, check_model, idle_equations, stacked_equations
from pullback.net.inputs import BATCH, RESERVED, declared_inputs
from pullback.net.program import Array, Compiled, compile_program
from pullback.net.trace import Trace
from pullback.nn import Block, Loss, Scope, init, named_loss, signature_of
from pullback.notebook import headline, paragraph, table

Parameters = dict[str, Array]


class Network:
    """A model and a loss, as one composition whose derivative is a product.

    ``l2`` adds (l2/2) Σ weight² to the loss, over the trained weights: biases, gains (what starts
    at a number) and frozen weights are not penalised. ``x`` names the axes of a
    sample, with sizes where they are known: "channels=1 height=28 width=28"; "tokens:index" holds
    whole numbers, and a dict by name is several inputs. ``weighted`` adds an input, sample_weight
    (batch,): how much each sample counts.
    Raises ConfigError for a model or a loss that is none, ShapeError where widths do not meet.

    >>> import pullback as pb
    >>> net = pb.Network(pb.Sequential(pb.Linear(2, 3), pb.Tanh(), pb.Linear(3, 1)),
    ...                  loss=pb.SquaredError())
    >>> params = net.init(seed=0)
    >>> {name: p.shape for name, p in params.items()}
    {'0.weight': (3, 2), '0.bias': (3,), '2.weight': (1, 3), '2.bias': (1,)}
    """

    def __init__(
        self,
        model: Block,
        loss: Loss,
        l2: float = 0.0,
        *,
        x: str | Mapping[str, str] = "features",
        weighted: bool = False,
    ) -> None:
        require("model", model, Block, "a block such as Sequential(…)")
        require("loss", loss, Loss, "a loss such as CrossEntropy()")
        if isinstance(l2, bool) or not (np.isreal(l2) and np.isfinite(l2) and l2 >= 0):
            raise ConfigError(f"l2 is {shown(l2)}; expected a number from 0")
        self.model, self.criterion, self.l2 = model, loss, float(l2)
        inputs = declared_inputs(x)
        self.declared = x if isinstance(x, str) else dict(x)
        ours = None not in (signature_of(model), signature_of(loss))
        outline = outlined(model, inputs, ours)
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
        self.target = Input("target", outline.axes)
        self.sample_weight = Input("sample_weight", (BATCH,)) if weighted else None
        if not ours:  # what is not pullback's own may raise when it is built
            check_model(self.model, self.specs, self.built, self.xs.values())
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
        """What a batch gives: x, target, and sample_weight if the network is weighted."""
        weight = () if self.sample_weight is None else (self.sample_weight,)
        return (*self.xs.values(), self.target, *weight)

    @property
    def n_in(self) -> int | None:
        """How many features a sample has; None if any number will do."""
        return self.x.axes[-1].size if self.x.axes[1:] else 1

    @property
    def n_out(self) -> int | None:
        """How many outputs the model has; None if as many as features."""
        return self.target.axes[-1].size if self.target.axes[1:] else 1

    @property
    def trained(self) -> tuple[str, ...]:
        """The names of the parameters that training changes; the others are frozen."""
        return tuple(spec.name for spec in self.specs if spec.trained)

    def signature(self) -> str | None:
        """A text that is the same for equal networks only; None if a part is not pullback's own.

        >>> from pullback.nn import Identity, SquaredError
        >>> Network(Identity(), SquaredError()).signature()
        "pullback.nn.activation.Identity() pullback.nn.loss.SquaredError('mean') l2=0x0.0p+0"
        """
        parts = signature_of(self.model), signature_of(self.criterion)
        if None in parts:
            return None
        weighted = "" if self.sample_weight is None else " weighted"
        x = "" if self.declared == "features" else f" x={self.declared!r}"
        return f"{parts[0]} {parts[1]} l2={self.l2.hex()}{x}{weighted}"

    @cached_property
    def output(self) -> Node:
        """The model's output (batch, …, outputs)."""
        return self._output_and_total[0]

    @cached_property
    def graph(self) -> Graph:
        """The forward pass: its output and its loss, with the equations that they need."""
        return Graph({"output": self.output, "loss": self.total}, BATCH)

    @cached_property
    def built_graph(self) -> Graph:
        """The output as the blocks build it: equations that cancel out of it still stand there."""
        return Graph({"output": self.built}, BATCH)

    @cached_property
    def total(self) -> Node:
        """The loss of the batch, a scalar, penalty included."""
        return self._output_and_total[1]

    @cached_property
    def _output_and_total(self) -> tuple[Node, ...]:
        output = self.built
        total = named_loss(
            self.criterion, output, self.target, self._penalty(output), self.sample_weight
        )
        return ir.simplify(output, total)

    @cached_property
    def built(self) -> Node:
        """The output as the blocks build it: what cancels later still stands in it."""
        return built(self.model, self.xs, Scope())

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
    def weighted(self) -> Network:
        """The same network with a weight for each sample."""
        if self.sample_weight is not None:
            return self
        return Network(self.model, self.criterion, self.l2, x=self.declared, weighted=True)

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """The parameter leaves by name, in the order of the state dict."""
        leaves = {n.name: n for n in walk((self.built,)) if isinstance(n, Parameter)}
        return {spec.name: leaves[spec.name] for spec in self.specs}

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

    @cached_property
    def _forward(self) -> Compiled:
        return compile_program(
            {"output": self.output}, "The forward pass.", leaves=tuple(self.xs.values())
        )

    @cached_property
    def _loss(self) -> Compiled:
        return self._program({"loss": self.total}, "The loss.")

    @cached_property
    def value_and_grad_program(self) -> Compiled:
        """The program of the loss and all its gradients, with its source."""
        what = f"The loss of {self.model!r} and its gradients."
        return self._program({"loss": self.total, **self._backwards}, what)

    @cached_property
    def training_program(self) -> Compiled:
        """The same with the model's output, which training scores."""
        what = f"The output of {self.model!r}, its loss and its gradients."
        return self._program(self.training_roots, what)

    @property
    def training_roots(self) -> dict[str, Node]:
        """What a step of training computes: output, loss and the gradient of each parameter."""
        return {"output": self.output, "loss": self.total, **self._backwards}

    @property
    def leaves(self) -> tuple[Parameter | Input, ...]:
        """What a program of the network takes: its parameters, then its data."""
        return (*self.parameters.values(), *self.inputs)

    @property
    def _backwards(self) -> dict[str, Node]:
        # the last layer's gradient first: its δ is then free for the layers before
        return dict(reversed(self.gradients.items()))

    @cached_property
    def scoring_program(self) -> Compiled:
        """The model's output and the loss, without gradients."""
        return self._program({"output": self.output, "loss": self.total}, "Output and loss.")

    @cached_property
    def _everything(self) -> Compiled:
        return self._program({**self.equations}, "Every equation of the network.")

    def _program(self, roots: Mapping[str, Node], what: str) -> Compiled:
        return compile_program(roots, what, leaves=self.inputs)

    def init(
        self, seed: int = 0, scheme: init.Scheme | None = None, dtype: Any = np.float64
    ) -> Parameters:
        """Parameters drawn by a scheme (``init.glorot()`` if none is given).

        Raises ConfigError for what is no seed or scheme, DTypeError for another dtype than
        float32 and float64.
        """
        chosen = scheme if scheme is not None else init.glorot()
        require("scheme", chosen, init.Scheme, "one such as pb.init.he()")
        rng = np.random.default_rng(whole("seed", seed, least=0))
        held = checked_dtype(dtype)
        return {spec.name: chosen.draw(spec, rng).astype(held) for spec in self.specs}

    def predict(self, params: Mapping[str, Any], X: Any) -> Array:
        """The model's output (batch, outputs) for X (batch, features), or for a dict of inputs.

        Raises ShapeError, DTypeError or DataError for data that does not fit.
        """
        x = checked_inputs(self, X)
        held = checked_parameters(self, params, dtype_of(x, params))
        out: Array = self._forward(held, x)["output"]
        return out

    def loss(self, params: Mapping[str, Any], X: Any, Y: Any, sample_weight: Any = None) -> float:
        """The loss of a batch, penalty included; weighted by ``sample_weight`` (batch,)."""
        net, inputs = self._bound(params, X, Y, sample_weight)
        held = checked_parameters(self, params, dtype_of(inputs, params))
        return float(net._loss(held, inputs)["loss"])

    def value_and_grad(
        self, params: Mapping[str, Any], X: Any, Y: Any, sample_weight: Any = None
    ) -> tuple[float, Parameters]:
        """The loss and its gradient, with the keys and shapes of params and X's dtype.

        Raises ShapeError, DTypeError, DataError for data that does not fit, and NonFiniteError,
        naming the first equation with a NaN or an infinity, if the loss is not finite.
        """
        net, inputs = self._bound(params, X, Y, sample_weight)
        held = checked_parameters(self, params, dtype_of(inputs, params))
        results = net.value_and_grad_program(held, inputs)
        value = float(results.pop("loss"))
        if not np.isfinite(value):
            raise NonFiniteError(net.first_not_finite(held, inputs))
        return value, {name: results[name] for name in self.trained}

    def _bound(
        self, params: object, X: Any, Y: Any, sample_weight: Any
    ) -> tuple[Network, dict[str, Array]]:
        """The network that reads these data, weighted or not, and its inputs."""
        inputs = checked_batch(self, X, Y, params)
        if sample_weight is None:
            return self, inputs
        target = inputs["target"]
        inputs["sample_weight"] = checked_weights(sample_weight, len(target), target.dtype)
        return self.weighted, inputs

    def trace(self, params: Mapping[str, Any], X: Any, Y: Any) -> Trace:
        """Every z, a, δ and gradient of one pass, by name; δ is ∂loss/∂z of the reduced loss."""
        inputs = checked_batch(self, X, Y, params)
        held = checked_parameters(self, params, dtype_of(inputs, params))
        values = self._everything(held, inputs)
        return Trace.of({each.label: values[name] for name, each in self.equations.items()})

    def first_not_finite(self, held: Parameters, inputs: Mapping[str, Array]) -> str:
        """Which equation of a pass first holds a NaN or an infinity, in words."""
        with np.errstate(all="ignore"):
            values = self._everything(held, inputs)
        # a model of one layer has no path: its z is only called so
        labels = {n: each.label for n, each in self.equations.items()}
        called = {n: n if each.text or each.place else each.role for n, each in labels.items()}
        for name, value in {**held, **{n: values[n] for n in self.equations}}.items():
            wrong = ~np.isfinite(value)
            if wrong.any():
                what = "NaN" if np.isnan(value).any() else "an infinity"
                place = f" at {tuple(map(int, np.argwhere(wrong)[0]))}" if np.ndim(value) else ""
                return f"{called.get(name, name)} is the first to hold {what}{place}"
        return "the loss is not finite"

    def __reduce__(self) -> tuple[Any, ...]:
        # compiled programs stay behind; a copy makes its own when they are needed
        make = partial(Network, x=self.declared, weighted=self.sample_weight is not None)
        return make, (self.model, self.criterion, self.l2)

    def __repr__(self) -> str:
        penalty = f", l2={self.l2:g}" if self.l2 else ""
        x = f", x={self.declared!r}" if self.declared != "features" else ""
        return f"Network({self.model!r}, loss={self.criterion!r}{penalty}{x})"

    def _repr_html_(self) -> str:
        sizes = [prod(spec.shape) for spec in self.specs]
        rows = [
            (
                spec.name if spec.trained else f"{spec.name} (frozen)",
                " × ".join(f"{axis} {size}" for axis, size in spec.axes),
                f"{count:,}",
            )
            for spec, count in zip(self.specs, sizes, strict=True)
        ]
        head = headline(f"A network with {sum(sizes):,} parameters.")
        return head + paragraph(repr(self)) + table(["parameter", "axes", "numbers"], rows)
