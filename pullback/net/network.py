"""A network with its loss: forward, backward and everything by name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from pullback.errors import NonFiniteError, require, whole
from pullback.ir import Node
from pullback.net.checks import (
    as_array,
    by_input,
    checked_batch,
    checked_dtype,
    checked_inputs,
    checked_parameters,
    checked_weights,
    dtype_of,
)
from pullback.net.limit import bytes_of
from pullback.net.modes import check_several, drawn
from pullback.net.nodes import NetworkNodes
from pullback.net.predictor import ForwardPass, Predictor
from pullback.net.program import Array, Compiled, compile_program
from pullback.net.trace import Trace
from pullback.net.within import LimitedPrograms
from pullback.nn import ParameterSpec, init
from pullback.notebook import headline, paragraph, table

Parameters = dict[str, Array]


class Network(NetworkNodes):
    """A model and a loss, as one composition whose derivative is a product.

    ``l2`` adds (l2/2) Σ weight² to the loss, over the trained weights: biases, gains (what starts
    at a number) and frozen weights are not penalised. ``x`` names the axes of a
    sample, with sizes where they are known: "channels=1 height=28 width=28"; "tokens:index" holds
    whole numbers, and a dict by name is several inputs. ``weighted`` adds an input, sample_weight
    (batch,): how much each sample counts. It is in training mode, as batch norm and dropout know
    it, unless ``training`` is False; ``eval()`` and ``train()`` give the other mode.
    Raises ConfigError for a model or a loss that is none, ShapeError where widths do not meet.

    >>> import pullback as pb
    >>> net = pb.Network(pb.Sequential(pb.Linear(2, 3), pb.Tanh(), pb.Linear(3, 1)),
    ...                  loss=pb.SquaredError())
    >>> params = net.init(seed=0)
    >>> {name: p.shape for name, p in params.items()}
    {'0.weight': (3, 2), '0.bias': (3,), '2.weight': (1, 3), '2.bias': (1,)}
    """

    _ready: Predictor | None = None  # what predicted last, and may be asked at once

    @cached_property
    def _forward(self) -> ForwardPass:
        leaves = (*self.xs.values(), *(each.leaf for each in self.noise.values()))
        program = compile_program({"output": self.output}, "The forward pass.", leaves=leaves)
        return ForwardPass(self, program)

    @cached_property
    def _loss(self) -> Compiled:
        return self._program({"loss": self.total}, "The loss.")

    @cached_property
    def value_and_grad_program(self) -> Compiled:
        """The program of the loss and all its gradients, with its source."""
        what = f"The loss of {self.model!r} and its gradients."
        return self._program({"loss": self.total, **self._backwards}, what)

    @cached_property
    def limited_gradients(self) -> LimitedPrograms:
        """The loss and all its gradients under limits of memory."""
        what = f"The loss of {self.model!r} and its gradients."
        roots = {"loss": self.total, **self._backwards}
        return LimitedPrograms(roots, what, self.inputs, self.trained)

    @cached_property
    def limited_training(self) -> LimitedPrograms:
        """A step of training under limits of memory."""
        what = f"The output of {self.model!r}, its loss and its gradients."
        return LimitedPrograms(self.training_roots, what, self.inputs, self.trained)

    def within(
        self, limit: int, held: Parameters, inputs: Mapping[str, Array], given: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The loss and its gradients in so many bytes, but for arrays that were ``given``."""
        there = [each for each in given.values() if isinstance(each, np.ndarray)]
        ours = [a for a in inputs.values() if any(np.may_share_memory(a, b) for b in there)]
        copies = [a for a in held.values() if not any(np.may_share_memory(a, b) for b in there)]
        besides = sum(each.nbytes for each in copies) - sum(each.nbytes for each in ours)
        shapes = {name: each.shape for name, each in (*held.items(), *inputs.items())}
        dtype = next(iter(held.values())).dtype if held else np.float64
        _, program = self.limited_gradients.compiled(shapes, dtype, limit, besides)
        results = program(held, inputs)
        program.release()
        return results

    @cached_property
    def training_program(self) -> Compiled:
        """The same with the model's output, which training scores, and the updates of states."""
        what = f"The output of {self.model!r}, its loss and its gradients."
        return self._program(self.training_roots, what)

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

    def predict(
        self,
        params: Mapping[str, Any],
        X: Any,
        *,
        seed: int = 0,
        noise: Mapping[str, Any] | None = None,
    ) -> Array:
        """The model's output (batch, outputs) for X (batch, features), or for a dict of inputs.

        It is that in evaluation mode, whichever the network is in. Noise that the model draws in
        this mode too, as that of a variational autoencoder, follows from ``seed``, or is ``noise``.
        From the 32nd call on, or sooner where calls are large, it is compiled code that predicts:
        the same to rounding, and a parameter that was changed or replaced in between is seen.
        Raises ShapeError, DTypeError or DataError for data that does not fit.
        """
        if self._ready is not None and noise is None:
            out = self._ready(params, X)
            if out is not None:
                return out
        x = checked_inputs(self, X)
        held = checked_parameters(self, params, dtype_of(x, params))
        net = self.eval()
        out = net._forward(held, {**x, **drawn(net, x, seed, noise)})
        self._ready = net._forward.ready
        return out

    def loss(
        self,
        params: Mapping[str, Any],
        X: Any,
        Y: Any,
        sample_weight: Any = None,
        *,
        seed: int = 0,
        noise: Mapping[str, Any] | None = None,
    ) -> float:
        """The loss of a batch in the network's mode, as ``value_and_grad`` takes its arguments."""
        net, inputs = self.batch(params, X, Y, sample_weight, seed=seed, noise=noise)
        held = checked_parameters(self, params, dtype_of(inputs, params))
        return float(net._loss(held, inputs)["loss"])

    def value_and_grad(
        self,
        params: Mapping[str, Any],
        X: Any,
        Y: Any,
        sample_weight: Any = None,
        *,
        seed: int = 0,
        noise: Mapping[str, Any] | None = None,
        memory: int | str | None = None,
    ) -> tuple[float, Parameters]:
        """The loss and its gradient, with the keys and shapes of params and X's dtype.

        The loss is that of the network's mode, penalty included, weighted by ``sample_weight``
        (batch,). Dropout's noise is drawn from ``seed``, or is ``noise`` where that has it by name:
        one seed is one noise, so a training loop gives each step a seed of its own.
        With ``memory``, bytes or a text as "200 MB", all that the step makes has no more bytes at
        a time: values are computed again where that is needed, and every bit of the result is the
        same (``pb.plan_memory`` tells what it costs). Parameters and X itself do not count.
        Raises ShapeError, DTypeError, DataError for data that does not fit, ConfigError for a limit
        below the least that is needed, and NonFiniteError, naming the first equation with a NaN or
        an infinity, if the loss is not finite.
        """
        limit = None if memory is None else bytes_of("memory", memory)
        net, inputs = self.batch(params, X, Y, sample_weight, seed=seed, noise=noise)
        held = checked_parameters(self, params, dtype_of(inputs, params))
        if limit is None:
            results = net.value_and_grad_program(held, inputs)
        else:
            results = net.within(limit, held, inputs, {**params, **by_input(self, X)})
        value = float(results.pop("loss"))
        if not np.isfinite(value):
            if limit is not None:
                raise NonFiniteError("the loss is not finite; without memory= its cause is named")
            raise NonFiniteError(net.first_not_finite(held, inputs))
        return value, {name: results[name] for name in self.trained}

    def batch(
        self,
        params: object,
        X: Any,
        Y: Any,
        sample_weight: Any = None,
        *,
        seed: Any = 0,
        noise: Mapping[str, Any] | None = None,
    ) -> tuple[Network, dict[str, Array]]:
        """The network that reads these data, weighted or not, and all its inputs, checked."""
        net = self.for_targets(as_array("Y", Y))
        inputs = checked_batch(net, X, Y, params)
        check_several(net, inputs)
        inputs |= drawn(net, inputs, seed, noise)
        if sample_weight is None:
            return net, inputs
        target = inputs["target"]
        inputs["sample_weight"] = checked_weights(sample_weight, len(target), target.dtype)
        return net.weighted, inputs

    def updated(
        self,
        params: Mapping[str, Any],
        X: Any,
        *,
        seed: int = 0,
        noise: Mapping[str, Any] | None = None,
    ) -> Parameters:
        """The parameters with the states, such as running means, as a step on X leaves them.

        ``fit`` does this in each of its steps; in evaluation mode nothing changes.
        """
        inputs = checked_inputs(self, X)
        held = checked_parameters(self, params, dtype_of(inputs, params))
        if not self.updates:
            return held
        check_several(self, inputs)
        inputs |= drawn(self, inputs, seed, noise)
        found = self._updated(held, inputs)
        return held | {name: np.asarray(found[name], held[name].dtype) for name in self.updates}

    @cached_property
    def _updated(self) -> Compiled:
        leaves = [leaf for leaf in self.inputs if leaf not in (self.target, self.sample_weight)]
        return compile_program(self.updates, "The updates of states.", leaves=leaves)

    def trace(
        self,
        params: Mapping[str, Any],
        X: Any,
        Y: Any,
        *,
        seed: int = 0,
        noise: Mapping[str, Any] | None = None,
    ) -> Trace:
        """Every z, a, δ and gradient of one pass, by name; δ is ∂loss/∂z of the reduced loss.

        Noise is as in ``value_and_grad``.
        """
        net, inputs = self.batch(params, X, Y, seed=seed, noise=noise)
        held = checked_parameters(self, params, dtype_of(inputs, params))
        values = net._everything(held, inputs)
        return Trace.of({each.label: values[name] for name, each in net.equations.items()})

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

    def _repr_html_(self) -> str:
        sizes = [prod(spec.shape) for spec in self.specs]
        rows = [
            (
                f"{spec.name}{_untrained(spec)}",
                " × ".join(f"{axis} {size}" for axis, size in spec.axes),
                f"{count:,}",
            )
            for spec, count in zip(self.specs, sizes, strict=True)
        ]
        head = headline(f"A network with {sum(sizes):,} parameters.")
        return head + paragraph(repr(self)) + table(["parameter", "axes", "numbers"], rows)


def _untrained(spec: ParameterSpec) -> str:
    if spec.trained:
        return ""
    return " (state)" if spec.kind == "state" else " (frozen)"
