"""The lines of the chain rule: composition, total derivative, local Jacobians, the recursion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from itertools import pairwise

from pullback.calculus import local_map
from pullback.derive.formula.algebra import IDENTITY, scaled, total, transpose
from pullback.derive.formula.entries import IndexForm
from pullback.derive.formula.matrix import NoMatrixFormError
from pullback.derive.formula.tree import (
    AppliedFormula,
    Call,
    Composition,
    Formula,
    Hadamard,
    Indexed,
    IndexSum,
    Kronecker,
    Number,
    Partial,
    ProductFormula,
    ScaledFormula,
    Symbol,
)
from pullback.derive.program import DerivedProgram
from pullback.derive.steps.affine import layer_of, with_one
from pullback.derive.steps.convolution import ConvolutionForm
from pullback.derive.steps.equations import FORWARD
from pullback.derive.steps.fold import Layered, fold_sum
from pullback.derive.steps.listing import Line
from pullback.derive.steps.local import (
    Leaf,
    LocalJacobian,
    is_elementwise_in,
    local_jacobians,
)
from pullback.ir import Axis, Input, Named, Parameter, as_printed

DOTS = Symbol("⋯")
LONG = 7  # factors that are written out


class ChainSteps:
    """What the chain rule says about one program."""

    def __init__(self, program: DerivedProgram) -> None:
        self.program = program
        self.notation = program.notation
        self.symbols = program.notation.symbols
        self.indexed = program.convention == "index"
        self._by_name = {each.name: each for each in program.equations}

    def line(
        self, name: str, left: Formula, right: Formula, layer: int | None, note: str = ""
    ) -> Layered:
        return Layered(Line(name, "value", left, right, note=note), layer)

    def equation(self, name: str) -> Layered:
        """One equation of the program as a line."""
        found = self._by_name[name]
        left, right = self.notation.sides(found)
        note = self.shape_note(found.node) or self.notation.runs(found.node)
        sign = "="
        if found.role == "update":
            sign, note = "←", found.node.label.part
        line = Line(name, found.role, left, fold_sum(right), sign, note=note)
        return Layered(line, self.program.layers.get(name))

    def equations(self, *roles: str) -> list[Layered]:
        return [self.equation(each.name) for each in self.program.role(*roles)]

    def shape_note(self, node: Named) -> str:
        """What a layer's matrix is called and how large it is."""
        layer = layer_of(node)
        if layer is None:
            conv = ConvolutionForm.of(node) if node.role == "z" else None
            return "" if conv is None or conv.in_groups else conv.shape
        rows, columns = layer.n_out, layer.n_in
        if node in self.notation.thetas:
            return f"Θ is {rows} × {columns + (layer.bias is not None)}"
        return f"W is {columns} × {rows}" if self.notation.turned else f"W is {rows} × {columns}"

    def composition(self) -> Line:
        """ℓ = (f_N ∘ … ∘ f_1)(x)."""
        count = len(self.program.role(*FORWARD, "loss"))
        functions: list[Formula] = [Symbol("f", str(k)) for k in range(count, 0, -1)]
        if count > LONG:
            functions[2:-2] = [DOTS]
        left = self.symbols[self.program.loss]
        inputs = tuple(self.symbols[leaf] for leaf in self.program.inputs)
        return Line(
            "composition", "loss", left, AppliedFormula(Composition(tuple(functions)), inputs)
        )

    def whole(self, node: Leaf) -> Formula:
        """A quantity as one object: its symbol, with the layer where the convention has it."""
        symbol = self.symbols[node]
        return Indexed(symbol, (), raised=True) if self.indexed else symbol

    def entry(self, node: Leaf, form: IndexForm | None) -> Formula:
        symbol = self.symbols[node]
        return form.entry(symbol, node.axes) if form is not None else symbol

    def partial(self, of: Leaf, by: Leaf, form: IndexForm | None = None) -> Partial:
        return Partial(self.entry(of, form), self.entry(by, form))

    def product_of_jacobians(self) -> Line | None:
        """∂ℓ/∂W₁ as one product, where there is only one path."""
        path: list[Leaf] = list(self.program.users)
        own = self.program.own
        layers = (node for node in self.program.users if node in own and own[node].weight.trained)
        first = next(layers, None)
        if not self.program.is_chain or first is None or path[0] not in own:
            return None
        weight = own[first].weight
        path = [weight, *path[path.index(first) :]]
        factors: list[Formula] = []
        for before, after in pairwise(path):
            factors.insert(0, Partial(self.whole(after), self.whole(before)))
        if len(factors) > LONG:
            factors[3:-3] = [DOTS]
        left = Partial(self.whole(self.program.loss), self.whole(weight))
        return Line("total derivative", "gradient", left, ProductFormula(tuple(factors)))

    def pattern(self) -> list[Layered]:
        """∂ℓ/∂q for each quantity q, from those that read it."""
        lines = []
        for node, users in reversed(self.program.users.items()):
            if users not in ((), (self.program.loss,)):
                lines.append(self._one_step(node, users))
        return lines

    def _one_step(self, node: Named, users: Sequence[Named]) -> Layered:
        terms: list[Formula] = []
        here = self.notation.entries(node.axes) if self.indexed else None
        for user in users:
            summed: tuple[str, ...] = ()
            there = here
            if here is not None:
                own = tuple(a for a in user.axes if a not in self._shared(user, node))
                there = here.within(own)
                summed = there.bound(own)
            step: Formula = Partial(self.entry(user, there), self.entry(node, here))
            if user is not self.program.loss:
                onward = Partial(self.symbols[self.program.loss], self.entry(user, there))
                step = ProductFormula((onward, step))
            terms.append(IndexSum(summed, step) if summed else step)
        left = self.partial(self.program.loss, node, here)
        layer = self.program.layers.get(node.name)
        return self.line(f"total.{node.name}", left, total(terms), layer)

    def jacobians(self) -> list[Layered]:
        """The lines of every local Jacobian in this convention."""
        return [line for jacobian in self._local.values() for line in self._jacobian(jacobian)]

    def _jacobian(self, jacobian: LocalJacobian) -> list[Layered]:
        if self.indexed:
            return [self._as_entries(jacobian)]
        try:
            if self.program.convention == "rows" or self.program.samples:
                return self._as_differentials(jacobian)
            return self._as_matrices(jacobian)
        except NoMatrixFormError:
            return [self._as_entries(jacobian)]

    def _layered(
        self, j: LocalJacobian, left: Formula, right: Formula, kind: str, note: str
    ) -> Layered:
        name = f"jacobian.{j.of.name}.{j.by.name}{kind}"
        return self.line(name, left, right, self.program.layers.get(j.of.name), note=note)

    def _as_matrices(self, j: LocalJacobian) -> list[Layered]:
        """columns: a matrix with a row for each entry of ``of``."""
        of, note = self.symbols[j.of], j.words()
        tensor = self.notation.form.read(j.tensor)
        theta = self.notation.thetas.get(j.of)
        if j.structure == "Kronecker":
            if not j.is_outer:
                raise NoMatrixFormError
            by: Formula = self.symbols[j.by]
            inputs = tensor.formula
            if theta is not None:
                rows, more = theta.n_out, theta.bias is not None
                by = self.notation.theta(theta)
                note = f"{rows} × {rows * (theta.n_in + more)}, Kronecker"
                inputs = with_one(inputs) if more else inputs
            sides = Kronecker(IDENTITY, transpose(inputs)), Kronecker(transpose(inputs), IDENTITY)
            return [
                self._layered(j, Partial(of, vec(by, order)), right, f".{order}", note)
                for order, right in zip(_orders(j), sides, strict=True)
            ]
        if theta is not None and isinstance(j.by, Parameter):
            return []
        if max(len(j.rows), len(j.columns)) > 1:
            raise NoMatrixFormError
        if j.structure == "dense":
            if set(tensor.axes) != set(j.over):
                raise NoMatrixFormError
            right = tensor.along(j.over).formula
        elif tensor.axes:
            right = Call("diag", (tensor.formula,))
        else:
            right = scaled([tensor.formula], None if j.shape == (1, 1) else IDENTITY)
        return [self._layered(j, self.partial(j.of, j.by), right, "", note)]

    def _as_differentials(self, j: LocalJacobian) -> list[Layered]:
        """Of all samples: dZ = dA W, because a matrix of them has no Jacobian that is a matrix."""
        of, by = (self.symbols[node] for node in (j.of, j.by))
        assert isinstance(of, Symbol)
        assert isinstance(by, Symbol)
        small = replace(by, letter=f"d{by.letter}", key="", place=10**6)
        form = self.notation.knowing({j.tangent: small}).form
        left = replace(of, letter=f"d{of.letter}", key="")
        lines = [self._layered(j, left, form.read(j.change).formula, "", j.structure)]
        if j.structure == "Kronecker" and j.is_outer:
            tensor = form.read(j.tensor).formula
            sides = Kronecker(tensor, IDENTITY), Kronecker(IDENTITY, tensor)
            if self.program.convention != "rows":  # W stands on the left of its input
                turned = transpose(tensor)
                sides = Kronecker(IDENTITY, turned), Kronecker(turned, IDENTITY)
            lines += [
                self._layered(j, Partial(vec(of, order), vec(by, order)), right, f".{order}", "")
                for order, right in zip(_orders(j), sides, strict=True)
            ]
        return lines

    def _as_entries(self, j: LocalJacobian) -> Layered:
        """index: one entry; an identity in between is written I_ij."""
        rows = self.notation.entries(j.of.axes)
        columns = rows.within(tuple(a for a in j.by.axes if a not in self._shared(j.of, j.by)))
        on_tensor = {j.names.get(c, c): letter for c, letter in columns.letters.items()}
        form = rows.within((), {**on_tensor, **{a: rows.letters[a] for a in j.rows}})
        tensor = form.read(j.tensor).formula
        factors = [] if tensor == Number(1) else [tensor]
        for column, row in j.ties:
            if column != row:
                places = (*rows.indices((row,)), *columns.indices((column,)))
                factors.append(Indexed(IDENTITY, places, raised=True))
        right = ScaledFormula(tuple(factors)) if len(factors) > 1 else (*factors, Number(1))[0]
        note: str = j.structure
        alike = [rows.letters[row] for column, row in j.ties if column == row]
        if alike:
            note += f": 0 where {' or '.join(alike)} differs"
        left = Partial(self.entry(j.of, rows), self.entry(j.by, columns))
        return self._layered(j, left, right, "", note)

    def _shared(self, of: Named, by: Leaf) -> set[Axis]:
        """The axes that have one letter on both sides of ∂of/∂by: it is 0 where they differ."""
        if is_elementwise_in(of, by):
            return {*of.axes} & {*by.axes}
        found = self._local.get((of, by))
        ties = () if found is None else found.ties
        batch = {axis for axis in of.axes if axis == self.program.batch}
        return batch | {column for column, row in ties if column == row}

    @cached_property
    def _local(self) -> dict[tuple[Named, Leaf], LocalJacobian]:
        found = local_jacobians(self.program.equations, self.program.batch)
        return {(each.of, each.by): each for each in found}

    def recursion(self) -> Line | None:
        """δₗ from δₗ₊₁ as a pattern, where there is one layer behind another."""
        layers = [each.node for each in self.program.role("z") if each.node in self.program.users]
        if not self.program.is_chain or len(layers) < 2:
            return None
        first, second = layers[:2]
        error, behind = (self.program.by_name[str(node.label.delta)] for node in (first, second))
        layer, given = self.program.own[second], Input("given", behind.axes)
        (back,) = as_printed(local_map(second, layer.arg).T @ given)
        weight = self._general(layer.weight, "l+1")
        notation = self.notation.knowing(
            {given: self._general(behind, "l+1"), layer.weight: weight}
        )
        left: Formula = self._general(error, "l")
        slope: Formula = self._general(first, "l")
        try:
            carried = notation.matrix(back)
            multiplied: type[ProductFormula | Hadamard] = Hadamard
        except NoMatrixFormError:
            form = notation.entries(back.axes)
            carried, multiplied = form.read(back).formula, ProductFormula
            left, slope = form.entry(left, back.axes), form.entry(slope, back.axes)
        # in the order in which the rule is always quoted
        right = multiplied((carried, AppliedFormula(Symbol("f", primes=1), (slope,))))
        return Line("recursion", "delta", left, right, where="every layer l but the last")

    def _general(self, node: Leaf, index: str) -> Symbol:
        symbol = self.symbols[node]
        assert isinstance(symbol, Symbol)
        return replace(symbol, index=index, key="", place=0)


def _orders(j: LocalJacobian) -> str:
    """The order of W's entries in which ∂z/∂W is I ⊗ a, then that in which it is a ⊗ I."""
    return "rc" if j.ties[0][0] == j.columns[0] else "cr"


def vec(formula: Formula, order: str) -> Call:
    """All entries as one column, row after row (r) or column after column (c)."""
    return Call("vec", (formula,), over=order)
