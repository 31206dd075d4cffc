"""The derivation of a network's gradients, step by step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from pullback.derive.derivation import Step
from pullback.derive.formula.algebra import scaled, transpose
from pullback.derive.formula.notation import Convention
from pullback.derive.formula.tree import (
    Blocks,
    Formula,
    Negative,
    Partial,
    Sum,
    Symbol,
)
from pullback.derive.program import DerivedProgram, batch_program, sample_program
from pullback.derive.steps.chain import DOTS, ChainSteps, vec
from pullback.derive.steps.convolution import ConvolutionSteps, because
from pullback.derive.steps.equations import FORWARD, Equation
from pullback.derive.steps.fold import Layered, fold
from pullback.derive.steps.listing import Line
from pullback.derive.steps.second import hessian_lines, hessian_vector_products
from pullback.derive.steps.theta import Thetas
from pullback.errors import ConfigError, NotApplicableError
from pullback.ir import Input, Named, Node, Parameter
from pullback.net.modes import one_by_one
from pullback.net.network import Network

RATE = Symbol("η")
ALL = Symbol("θ", colour="parameter")


class NetworkSteps:
    """Builds the steps one after another; a reason may speak of an earlier step as {its key}."""

    def __init__(self, net: Network, convention: Convention, order: int = 1) -> None:
        if order not in (1, 2):
            raise ConfigError(f"order is {order!r}; expected 1 (gradient) or 2 (Hessian · v)")
        if not net.trained:
            raise NotApplicableError(
                f"{net.model!r} has no parameters to train: there is no gradient to derive"
                if net.parameters
                else f"{net.model!r} has no parameters: there is no gradient to derive"
            )
        self.net, self.convention, self.order = net, convention, order
        self.at_once = convention == "rows" or bool(net.several)
        if net.several and convention == "ng":  # which adds up the samples one by one
            one_by_one(net)
        self.batch = batch_program(net, convention, samples=True)
        self.sample = self.batch if self.at_once else sample_program(net, convention)
        self.chain = ChainSteps(self.sample)
        self.thetas = Thetas(self.chain, net) if convention == "ng" else None
        self.notation = self.sample.notation
        self.symbols = self.notation.symbols
        self.directions: tuple[Input, ...] = ()
        self._products: dict[str, Named] = {}
        self.steps: list[Step] = []
        self.places: dict[str, str] = {}
        self._count = 0
        self._write()

    @property
    def derivatives(self) -> dict[str, dict[tuple[str, ...], Node]]:
        """What the emitted code computes beside the loss of a batch."""
        backwards = reversed(self.net.gradients.items())
        return {
            "gradient": {(name,): node for name, node in backwards},
            "hessian_vector_product": {(name,): node for name, node in self._products.items()},
        }

    @property
    def note(self) -> str:
        """What the letters are."""
        if self.convention == "columns" and not self.at_once:
            columns = "x, y, z, a and δ are columns, those of one sample, and ℓ is its loss."
            return columns + self.notation.tensor_note
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
        letter = "L" if self.at_once else "ℓ"
        self.add(
            "composition",
            "The network is a composition of functions",
            [chain.composition()],
            "each fₖ is the k-th equation of the forward pass, and reads what came before it",
        )
        theta = [] if self.thetas is None else fold(self.thetas.definitions())
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
            fold(chain.equations("gradient") if self.thetas is None else self.thetas.gradients()),
            f"∂{letter}/∂z is δ by {source}, and z = W a + b makes the factor of W the layer's "
            f"input, that of b a one: the Jacobians of {factors}",
        )
        if self.convention != "index":
            self.add(
                "convolutions",
                "Convolutions without an index: as correlations, and by unfolding",
                fold(ConvolutionSteps(self.sample).lines()),
                because("row" if self.convention == "rows" else "column"),
            )
        self._whole()
        self.add(
            "update",
            "Update",
            fold(self._updates()),
            "the gradient {gradients} points uphill; a small step η goes against it",
        )
        self.add(
            "states",
            "What the states remember of a batch",
            fold(ChainSteps(self.batch).equations("update")),
            "no gradient goes through a state: each step replaces it by a share of itself and of "
            "what the batch of {forward} has, for evaluation to use; a variance is divided by one "
            "less than the number of its entries here, which makes it unbiased",
        )
        self._mini_batch()
        if self.order == 2:
            self._second()

    def _second(self) -> None:
        """Each equation's change along v, forward and then backward: H v, and never H."""
        changes, symbols = hessian_lines(self.sample)
        self.symbols.update(symbols)
        entries = [
            Layered(
                Line(
                    change.name,
                    "gradient" if change.role == "gradient" else "delta",
                    *self.notation.sides(Equation(change.name, change, change.role)),
                ),
                self.sample.layers.get(node.name),
            )
            for node, change in changes
        ]
        self.add(
            "second",
            "The Hessian times a direction v",
            fold(entries),
            "a dot marks the change of a quantity when each parameter moves along its part of v: "
            "the product rule on every equation from {forward} to {gradients}, in the same order "
            "(Pearlmutter 1994)",
        )
        products = hessian_vector_products(self.net.gradients, self.net.trained_leaves)
        self.directions = tuple(products.directions.values())
        self._products = products.products

    def _whole(self) -> None:
        loss = self.symbols[self.sample.loss]
        parameters = list(self.net.trained_leaves.values())
        letters = [self.chain.whole(p) for p in parameters]
        if self.thetas is not None:
            letters = [each.symbol for each in self.thetas.unknowns]
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
        pairs = [(p, self._letter(p)) for p in self.net.trained_leaves.values()]
        if self.thetas is not None:
            pairs = [(each.parameter, each.symbol) for each in self.thetas.unknowns]
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
        if self.thetas is not None:
            self.add(
                "batch",
                "The mini-batch: accumulate over the samples",
                fold(self.thetas.accumulation()),
                "the loss L of a batch adds up the losses ℓ of its N samples, and so do the "
                "gradients {gradients}",
            )
            return
        chain = ChainSteps(self.batch)
        line, loss = chain.equation("loss").line, self.net.criterion
        averaged = loss.reduction == "mean" and not loss.is_weighted
        if self.convention == "rows":
            self.add(
                "batch",
                "The mini-batch, sample by sample",
                fold(_sample_by_sample(self.batch)),
                "the product of {gradients} over the samples is a sum with one term for each",
            )
        if self.at_once:
            return
        lines = [Layered(line), *chain.equations(*FORWARD, "delta", "gradient")]
        by_columns = self.convention == "columns" and not self.notation.has_tensors
        self.add(
            "batch",
            "The mini-batch: all samples at once, a column for each"
            if by_columns
            else "The mini-batch: n counts the samples",
            fold(lines),
            "the loss of a batch is "
            + ("the mean" if averaged else "the sum")
            + " over its samples"
            + (", divided by the weights of their targets" if loss.is_weighted else "")
            + (", with a penalty on the weights" if self.net.l2 else "")
            + "; so every equation of {forward}, {gradients} holds "
            + ("sample by sample" if self.notation.has_tensors else "column by column")
            + ", and a product over samples sums them",
        )


def _length(parameter: Parameter) -> int:
    return math.prod(axis.size or 1 for axis in parameter.axes)


def _sample_by_sample(program: DerivedProgram) -> list[Layered]:
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
