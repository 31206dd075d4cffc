"""The derivation of a network's gradients, step by step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

from pullback.derive.derivation import Step
from pullback.derive.formula.algebra import product, scaled, total, transpose
from pullback.derive.formula.notation import Convention
from pullback.derive.formula.tree import (
    Blocks,
    Formula,
    Negative,
    Number,
    Partial,
    Quotient,
    Sum,
    Symbol,
)
from pullback.derive.program import Program, batch_program, sample_program
from pullback.derive.steps.affine import AffineForm, affine, own_layers, with_one
from pullback.derive.steps.chain import DOTS, Chain, vec
from pullback.derive.steps.equations import FORWARD, Equation
from pullback.derive.steps.fold import Layered, fold
from pullback.derive.steps.listing import Line
from pullback.derive.steps.second import hessian_lines, hessian_vector_products
from pullback.errors import ConfigError, NotApplicableError
from pullback.ir import Input, Named, Node, Parameter
from pullback.net.network import Network

RATE = Symbol("η")
ALL = Symbol("θ", colour="parameter")


class NetworkSteps:
    """Builds the steps one after another; a reason may speak of an earlier step as {its key}."""

    def __init__(self, net: Network, convention: Convention, order: int = 1) -> None:
        if order not in (1, 2):
            raise ConfigError(f"order is {order!r}; expected 1 (gradient) or 2 (Hessian · v)")
        if not net.parameters:
            raise NotApplicableError(
                f"{net.model!r} has no parameters: there is no gradient to derive"
            )
        self.net, self.convention, self.order = net, convention, order
        rows = convention == "rows"
        self.batch = batch_program(net, convention, samples=True)
        self.sample = self.batch if rows else sample_program(net, convention)
        self.chain = Chain(self.sample)
        self.notation = self.sample.notation
        self.symbols = self.notation.symbols
        self.directions: tuple[Input, ...] = ()
        self._products: dict[str, Named] = {}
        self.steps: list[Step] = []
        self.places: dict[str, str] = {}
        self._count = 0
        self._write()

    @property
    def roots(self) -> dict[str, Node]:
        """What the emitted code computes: the loss of a batch and its gradients."""
        backwards = reversed(self.net.gradients.items())
        found: dict[str, Node] = {"value": self.net.total}
        found |= {f"gradient.{name}": node for name, node in backwards}
        return found | {f"hessian_vector_product.{k}": v for k, v in self._products.items()}

    @property
    def note(self) -> str:
        """What the letters are."""
        if self.convention == "columns":
            return "x, y, z, a and δ are columns, those of one sample, and ℓ is its loss."
        return self.notation.note

    def add(self, key: str, title: str, lines: Sequence[Line], reason: str) -> None:
        """Number the lines and append the step; nothing to say is no step."""
        if not lines:
            return
        first = self._count + 1
        numbered = tuple(
            replace(line, number=number) for number, line in enumerate(lines, start=first)
        )
        self._count += len(numbered)
        last = self._count
        self.places[key] = f"({first})" if first == last else f"({first})–({last})"
        self.steps.append(Step(title, numbered, reason.format(**self.places)))

    def _write(self) -> None:
        chain, loss = self.chain, self.sample.loss
        letter = "L" if self.convention == "rows" else "ℓ"
        self.add(
            "composition",
            "The network is a composition of functions",
            [chain.composition()],
            "each fₖ is the k-th equation of the forward pass, and reads what came before it",
        )
        theta = [] if self.convention != "ng" else fold(self._thetas())
        self.add(
            "forward",
            "Forward pass",
            [*theta, *fold(chain.equations(*FORWARD)), chain.equation(loss.name).line],
            "these are the functions of {composition}, one after another; z and a are kept, "
            "because the backward pass reads them",
        )
        one = chain.product_of_jacobians()
        self.add(
            "total",
            "Total derivative, and its pattern",
            [*([one] if one else []), *fold(chain.pattern())],
            "the chain rule on {composition}: the derivative of a composition is the product of "
            "the derivatives, and what is read several times collects one term for each reader",
        )
        stacking = (
            "; with respect to a weight's entries in one column the factor is a Kronecker "
            "product, in one order for row after row (vec r), in the other for column after "
            "column (vec c)"
        )
        self.add(
            "jacobians",
            "Local Jacobians, their shapes and structure",
            list(fold(chain.jacobians())),
            "each is the linear part of one equation of {forward}: W itself for an affine map, a "
            "diagonal of slopes for an elementwise one"
            + ("" if self.convention == "index" else stacking),
        )
        recursion = chain.recursion()
        factors = "{jacobians}" if "jacobians" in self.places else "{forward}"
        self.add(
            "delta",
            f"The recursion of the errors δ = ∂{letter}/∂z",
            [*([recursion] if recursion else []), *fold(chain.equations("delta"))],
            "each δ is the one behind it carried back through the transposed Jacobians of "
            + factors
            + "; the last one comes from the loss in {forward}",
        )
        source = "{delta}" if "delta" in self.places else "{forward}"
        self.add(
            "gradients",
            "Gradients of the parameters",
            fold(self._gradients()),
            f"∂{letter}/∂z is δ by {source}, and z = W a + b makes the factor of W the layer's "
            f"input, that of b a one: the Jacobians of {factors}",
        )
        self._whole()
        self.add(
            "update",
            "Update",
            fold(self._updates()),
            "the gradient {gradients} points uphill; a small step η goes against it",
        )
        self._mini_batch()
        if self.order == 2:
            self._second()

    def _second(self) -> None:
        """Each equation's change along v, forward and then backward: H v, and never H."""
        lines, symbols = hessian_lines(self.sample)
        self.symbols.update(symbols)
        entries = [
            Layered(
                Line(
                    named.name,
                    "gradient" if named.role == "gradient" else "delta",
                    *self.notation.sides(Equation(named.name, named, named.role)),
                ),
                self.sample.layers.get(named.name.partition(".")[2]),
            )
            for named in lines
        ]
        self.add(
            "second",
            "The Hessian times a direction v",
            fold(entries),
            "a dot marks the change of a quantity when each parameter moves along its part of v: "
            "the product rule on every equation from {forward} to {gradients}, in the same order "
            "(Pearlmutter 1994)",
        )
        changes = hessian_vector_products(self.net.gradients, self.net.parameters)
        self.directions = tuple(changes.directions.values())
        self._products = changes.products

    def _thetas(self) -> list[Layered]:
        found = []
        for node, weight, _, bias in self._layers:
            blocks = [self.symbols[p] for p in (bias, weight) if p is not None]
            rows, columns = (axis.size or 0 for axis in weight.axes)
            line = Line(
                f"theta.{weight.name}",
                "value",
                self._theta(weight),
                Blocks(tuple(blocks)),
                note=f"{rows} × {columns + (bias is not None)}, the bias first",
            )
            found.append(Layered(line, self.sample.layers.get(node.name)))
        return found

    @cached_property
    def _layers(self) -> list[tuple[Named, Parameter, Node, Parameter | None]]:
        """Each layer that has a Θ: its z, weight, input and bias."""
        return [
            (node, *parts)
            for node in own_layers(self.sample.equations)
            if (parts := affine(node.arg)) is not None
        ]

    @property
    def _others(self) -> list[Parameter]:
        """The parameters that are in no Θ."""
        held = {p for _, weight, _, bias in self._layers for p in (weight, bias)}
        return [p for p in self.net.parameters.values() if p not in held]

    def _theta(self, weight: Parameter) -> Symbol:
        assert isinstance(self.notation.form, AffineForm)
        return self.notation.form.theta(weight)

    def _gradients(self) -> list[Layered]:
        if self.convention != "ng":
            return self.chain.equations("gradient")
        loss = self.symbols[self.sample.loss]
        found = []
        biases = {weight: bias for _, weight, _, bias in self._layers}
        for weight, left, right in self._theta_gradients():
            held = [p for p in (weight, biases[weight]) if p is not None]
            covers = tuple(f"gradient.{p.name}" for p in held)
            line = Line(covers[0], "gradient", Partial(loss, left), right, covers=covers)
            found.append(Layered(line, self.sample.layers.get(weight.name)))
        others = {f"gradient.{p.name}" for p in self._others}
        return [*found, *(e for e in self.chain.equations("gradient") if e.line.name in others)]

    def _theta_gradients(self) -> list[tuple[Parameter, Symbol, Formula]]:
        """δ [1; a]ᵀ for each layer, the last one first."""
        found: list[tuple[Parameter, Symbol, Formula]] = []
        for node, weight, x, bias in reversed(self._layers):
            delta = self.sample.by_name["delta." + node.name.partition(".")[2]]
            inputs = self.notation.form.read(x).formula
            column = with_one(inputs) if bias is not None else inputs
            right = product(self.symbols[delta], transpose(column))
            found.append((weight, self._theta(weight), right))
        return found

    def _whole(self) -> None:
        loss = self.symbols[self.sample.loss]
        parameters = list(self.net.parameters.values())
        if self.convention == "ng":
            letters: Sequence[Formula] = [
                *(self._theta(weight) for _, weight, *_ in self._layers),
                *map(self.chain.whole, self._others),
            ]
        else:
            letters = [self.chain.whole(p) for p in parameters]
        blocks: list[Formula] = [transpose(vec(Partial(loss, s), "r")) for s in letters]
        if len(blocks) > 4:
            blocks[2:-2] = [DOTS]
        count = sum(map(_length, parameters))
        line = Line(
            "gradient",
            "gradient",
            Partial(loss, ALL),
            Blocks(tuple(blocks)),
            note=f"1 × {count}",
        )
        self.add(
            "whole",
            "The gradient of all parameters as one row of blocks",
            [line],
            "the parameters, one behind another, are one vector θ; its derivative has a block for "
            "each of {gradients}, row after row",
        )

    def _updates(self) -> list[Layered]:
        loss = self.symbols[self.sample.loss]
        if self.convention == "ng":
            pairs: Sequence[tuple[Parameter, Formula]]
            pairs = [(weight, self._theta(weight)) for _, weight, *_ in self._layers]
            pairs += [(p, self._letter(p)) for p in self._others]
        else:
            pairs = [(p, self._letter(p)) for p in self.net.parameters.values()]
        found = []
        for parameter, symbol in pairs:
            right = Sum((symbol, Negative(scaled([RATE], Partial(loss, symbol)))))
            line = Line(f"update.{parameter.name}", "value", symbol, right, sign="←")
            found.append(Layered(line, self.sample.layers.get(parameter.name)))
        return found

    def _letter(self, parameter: Parameter) -> Formula:
        """A parameter, or in index notation one entry of it."""
        form = self.notation.entries(parameter.axes) if self.convention == "index" else None
        return self.chain.entry(parameter, form)

    def _mini_batch(self) -> None:
        if self.convention == "ng":
            self._accumulation()
            return
        chain = Chain(self.batch)
        loss = chain.equation("loss").line
        if self.convention == "rows":
            self.add(
                "batch",
                "The mini-batch, sample by sample",
                fold(_sample_by_sample(self.batch)),
                "the product of {gradients} over the samples is a sum with one term for each",
            )
            return
        lines = [Layered(loss), *chain.equations(*FORWARD, "delta", "gradient")]
        self.add(
            "batch",
            "The mini-batch: all samples at once, a column for each"
            if self.convention == "columns"
            else "The mini-batch: n counts the samples",
            fold(lines),
            "the loss of a batch is "
            + ("the mean" if self.net.criterion.reduction == "mean" else "the sum")
            + " over its samples"
            + (", with a penalty on the weights" if self.net.l2 else "")
            + "; so every equation of {forward}, {gradients} holds column by column, and a "
            "product over samples sums them",
        )

    def _accumulation(self) -> None:
        """G ← G + δ [1; a]ᵀ over the samples, then the gradient of the batch."""
        lines: list[Layered] = []
        mean = self.net.criterion.reduction == "mean"
        scale = [Quotient(Number(1), Symbol("N"))] if mean else []
        collected = [
            (weight, theta, replace(theta, letter="G", colour="backward", key=""), right)
            for weight, theta, right in self._theta_gradients()
        ]
        loss = self.symbols[self.sample.loss]
        for parameter in self._others:
            symbol = self.symbols[parameter]
            assert isinstance(symbol, Symbol)
            index = replace(symbol, colour="plain", key="", place=0)
            sum_ = Symbol("G", index, colour="backward")
            collected.append((parameter, symbol, sum_, Partial(loss, symbol)))
        for parameter, _, sum_, right in collected:
            line = Line(
                f"accumulate.{parameter.name}",
                "gradient",
                sum_,
                Sum((sum_, right)),
                sign="←",
                note="for each sample; G starts at 0",
            )
            lines.append(Layered(line, self.sample.layers.get(parameter.name)))
        for parameter, symbol, sum_, _ in collected:
            terms = [scaled(scale, sum_), *self._penalty(parameter)]
            left = Partial(Symbol("L"), symbol)
            line = Line(f"mean.{parameter.name}", "gradient", left, total(terms))
            lines.append(Layered(line, self.sample.layers.get(parameter.name)))
        self.add(
            "batch",
            "The mini-batch: accumulate over the samples",
            fold(lines),
            "the loss L of a batch adds up the losses ℓ of its N samples, and so do the gradients "
            "{gradients}",
        )

    def _penalty(self, parameter: Parameter) -> list[Formula]:
        """What the penalty adds to the gradient of a parameter or of its Θ: biases are free."""
        kinds = {spec.name: spec.kind for spec in self.net.specs}
        if not self.net.l2 or kinds[parameter.name] != "weight":
            return []
        biases = {weight: bias for _, weight, _, bias in self._layers}
        weight = self.symbols[parameter]
        free = Blocks((Number(0), weight)) if biases.get(parameter) is not None else weight
        return [scaled([Number(self.net.l2)], free)]


def _length(parameter: Parameter) -> int:
    return math.prod(axis.size or 1 for axis in parameter.axes)


def _sample_by_sample(program: Program) -> list[Layered]:
    """Each weight's gradient as a sum over the samples, entry by entry."""
    found = []
    for each in program.role("gradient"):
        if len(each.axes) < 2:
            continue
        form = program.notation.entries(each.axes)
        line = Line(
            f"samples.{each.name}",
            "gradient",
            form.atom(each.node).formula,
            form.read(each.node.arg).formula,
        )
        found.append(Layered(line, program.layers.get(each.name)))
    return found
