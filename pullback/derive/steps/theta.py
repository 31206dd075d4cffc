"""The convention ng: a layer's weights and bias are one matrix Θ, collected sample by sample."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pullback.derive.formula.algebra import product, scaled, total, transpose
from pullback.derive.formula.tree import Blocks, Formula, Number, Partial, Quotient, Sum, Symbol
from pullback.derive.steps.affine import parameters, with_one
from pullback.derive.steps.chain import ChainSteps
from pullback.derive.steps.fold import Layered
from pullback.derive.steps.listing import Line
from pullback.errors import NotApplicableError
from pullback.ir import Named, Parameter
from pullback.ir.forms import Affine
from pullback.net.network import Network


@dataclass(frozen=True)
class Unknown:
    """A Θ, or a parameter that is in none: its symbol, and the derivative of ℓ by it."""

    symbol: Symbol
    slope: Formula
    parameter: Parameter
    layer: Affine | None
    number: int | None


class Thetas:
    """Every Θ of a network, and the parameters that are in none."""

    def __init__(self, chain: ChainSteps, net: Network) -> None:
        self.chain, self.net = chain, net
        self.notation, self.program = chain.notation, chain.program
        self.loss = self.notation.symbols[self.program.loss]
        held = {p for layer in self.notation.thetas.values() for p in parameters(layer)}
        self.others = [p for p in net.trained_leaves.values() if p not in held]

    def definitions(self) -> list[Layered]:
        """Θ = [b  W]."""
        found = []
        for node, layer in self.notation.thetas.items():
            blocks = [self.notation.symbols[p] for p in (layer.bias, layer.weight) if p is not None]
            columns = layer.n_in + (layer.bias is not None)
            line = Line(
                f"theta.{layer.weight.name}",
                "value",
                self.notation.theta(layer),
                Blocks(tuple(blocks)),
                note=f"{layer.n_out} × {columns}, the bias first",
            )
            found.append(self._layered(line, node.name))
        return found

    @property
    def unknowns(self) -> list[Unknown]:
        """What is trained, each Θ and then the rest, in the order of the forward pass."""
        layers = self.program.layers
        thetas = [
            Unknown(
                self.notation.theta(layer),
                self._outer(node, layer),
                layer.weight,
                layer,
                layers.get(layer.weight.name),
            )
            for node, layer in self.notation.thetas.items()
        ]
        rest = []
        for parameter in self.others:
            symbol = self.notation.symbols[parameter]
            assert isinstance(symbol, Symbol)
            number = layers.get(parameter.name)
            rest.append(Unknown(symbol, Partial(self.loss, symbol), parameter, None, number))
        return [*thetas, *rest]

    def gradients(self) -> list[Layered]:
        """∂ℓ/∂Θ for each layer, the last one first, then those of the rest."""
        found = []
        for each in self._backwards:
            if each.layer is not None:
                covers = tuple(f"gradient.{p.name}" for p in parameters(each.layer))
                left = Partial(self.loss, each.symbol)
                line = Line(covers[0], "gradient", left, each.slope, covers=covers)
                found.append(Layered(line, each.number))
        rest = {f"gradient.{p.name}" for p in self.others}
        return [*found, *(e for e in self.chain.equations("gradient") if e.line.name in rest)]

    def accumulation(self) -> list[Layered]:
        """G ← G + δ [1; a]ᵀ over the samples, then the gradient of the batch."""
        if self.net.criterion.is_weighted:
            raise NotApplicableError(
                f"the mean of {self.net.criterion!r} divides by weights of the targets, which 'ng' "
                "does not accumulate; choose another convention"
            )
        collected, means = [], []
        mean = self.net.criterion.reduction == "mean"
        scale = [Quotient(Number(1), Symbol("N"))] if mean else []
        for each in self._backwards:
            sum_ = replace(each.symbol, letter="G", colour="backward", key="")
            if each.layer is None:
                index = replace(each.symbol, colour="plain", key="", place=0)
                sum_ = Symbol("G", index, colour="backward")
            line = Line(
                f"accumulate.{each.parameter.name}",
                "gradient",
                sum_,
                Sum((sum_, each.slope)),
                sign="←",
                note="for each sample; G starts at 0",
            )
            collected.append(Layered(line, each.number))
            terms = [scaled(scale, sum_), *self._penalty(each)]
            left = Partial(Symbol("L"), each.symbol)
            line = Line(f"mean.{each.parameter.name}", "gradient", left, total(terms))
            means.append(Layered(line, each.number))
        return [*collected, *means]

    @property
    def _backwards(self) -> list[Unknown]:
        every = self.unknowns
        thetas = [each for each in every if each.layer is not None]
        return [*reversed(thetas), *(each for each in every if each.layer is None)]

    def _outer(self, node: Named, layer: Affine) -> Formula:
        """δ [1; a]ᵀ."""
        delta = self.notation.symbols[self.program.by_name[str(node.label.delta)]]
        inputs = self.notation.form.read(layer.arg).formula
        column = with_one(inputs) if layer.bias is not None else inputs
        return product(delta, transpose(column))

    def _penalty(self, unknown: Unknown) -> list[Formula]:
        """What the penalty adds to the gradient of a parameter or of its Θ: biases are free."""
        kinds = {spec.name: spec.kind for spec in self.net.specs}
        if not self.net.l2 or kinds[unknown.parameter.name] != "weight":
            return []
        weight = self.notation.symbols[unknown.parameter]
        has_bias = unknown.layer is not None and unknown.layer.bias is not None
        return [scaled([Number(self.net.l2)], Blocks((Number(0), weight)) if has_bias else weight)]

    def _layered(self, line: Line, name: str) -> Layered:
        return Layered(line, self.program.layers.get(name))
