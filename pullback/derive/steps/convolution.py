"""A convolution as a correlation with its kernel, and as the product with unfolded windows.

The chain rule writes it entry by entry; this is how signal processing and how programs have it:
Dumoulin and Visin, A guide to convolution arithmetic (2016), and Chellapilla, Puri and Simard,
High performance convolutional neural networks (2006), whose U is im2col, and Uᵀ col2im.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from pullback.derive.formula.algebra import product, transpose
from pullback.derive.formula.tree import (
    AppliedFormula,
    Call,
    Correlation,
    Formula,
    Ones,
    Partial,
    ProductFormula,
    Sum,
    Symbol,
)
from pullback.derive.program import DerivedProgram
from pullback.derive.steps.equations import FORWARD
from pullback.derive.steps.fold import Layered
from pullback.derive.steps.listing import Line
from pullback.ir import Axis, Named, Node, Parameter, Pattern, Role
from pullback.ir.flow import form
from pullback.ir.window import Window


@dataclass(frozen=True)
class Slide:
    """place = stride · at + dilation · tap − padding, along one direction."""

    place: Axis
    at: Axis
    tap: Axis
    stride: int
    dilation: int
    padding: int

    @classmethod
    def of(cls, pattern: Pattern, read: Node, weight: Parameter, z: Named) -> Slide | None:
        """How a pattern slides along z or along what z reads; None for one that does not."""
        sides = (read.axes, z.axes, weight.axes)
        here = [tuple(axis for axis in pattern.axes if axis in side) for side in sides]
        if len(pattern.equations) != 1 or len(pattern.axes) != 3 or [*map(len, here)] != [1, 1, 1]:
            return None
        equation, ((place,), (at,), (tap,)) = pattern.equations[0], here
        if equation.of(at) * equation.of(tap) < 0:
            place, at = at, place
        # the place itself stands in the equation once
        sign = -equation.of(place)
        steps = equation.of(at) * sign, equation.of(tap) * sign
        return cls(place, at, tap, *steps, -sign * equation.offset)

    @property
    def around(self) -> int:
        """How many zeros stand before δ where the kernel goes over it from its last tap."""
        return self.dilation * ((self.tap.size or 1) - 1) - self.padding


@dataclass(frozen=True)
class ConvolutionForm:
    """An equation that goes over what it reads by windows, with a weight."""

    z: Named
    window: Window
    weight: Parameter
    slides: tuple[Slide, ...]

    @classmethod
    def of(cls, z: Named) -> ConvolutionForm | None:
        """That of an equation, if it is one."""
        window = form(z)
        if not isinstance(window, Window) or window.weight is None:
            return None
        if window.scale != 1 or window.shares:
            return None
        read, weight = window.arg, window.weight
        found = (Slide.of(pattern, read, weight, z) for pattern in window.patterns)
        slides = [slide for slide in found if slide is not None]
        slides.sort(key=lambda slide: weight.axes.index(slide.tap))
        return cls(z, window, weight, tuple(slides)) if slides else None

    @property
    def is_transposed(self) -> bool:
        """Does it spread what it reads, as the transpose of a convolution does?"""
        return self.slides[0].place in self.z.axes

    @property
    def in_groups(self) -> bool:
        """Are the channels in groups, each with a weight of its own?"""
        return len(self.slides) < len(self.window.patterns)

    @property
    def is_correlation(self) -> bool:
        """Is it a correlation with the weight itself?"""
        dilated = any(slide.dilation > 1 for slide in self.slides)
        return not (self.is_transposed or self.in_groups or dilated)

    @property
    def shape(self) -> str:
        """The axes of the weight, as ``W is 3 × 2 × 5, out × in × taps``."""
        sides = ("in", "out") if self.is_transposed else ("out", "in")
        taps = ("taps",) if len(self.slides) == 1 else ("taps down", "taps across")
        sizes = " × ".join(str(axis.size) for axis in self.weight.axes)
        return f"W is {sizes}, {' × '.join((*sides, *taps))}"

    def numbers(self, name: str) -> str:
        """As ``stride 2``, or ``stride 2 × 1`` where the directions differ."""
        each = [int(getattr(slide, name)) for slide in self.slides]
        return " × ".join(map(str, each if len({*each}) > 1 else each[:1]))


def because(line: str) -> str:
    """Why the lines hold, with a ``line`` of U, a row or a column, for each place."""
    return (
        "W ⋆ X adds up what W lies on, times W, and an entry outside is 0; carried back, the "
        "kernel goes over δ from its last tap to its first, from out to in, which is the full "
        "convolution: flip turns W and swaps its channels, spread puts the zeros of a stride "
        f"between neighbours. U(X) has a {line} of what W lies on for each place (im2col), Uᵀ adds "
        "each entry up where it came from (col2im): so a convolution is the product with the "
        "matrix W, and {delta}, {gradients} are those of a linear layer"
    )


class ConvolutionSteps:
    """The convolutions of a program, forwards and backwards, without an index."""

    def __init__(self, program: DerivedProgram) -> None:
        self.program = program
        self.symbols = program.notation.symbols
        self.by_rows = program.convention == "rows"
        self.places = "place of each sample" if program.samples else "place"

    def lines(self) -> list[Layered]:
        """Every convolution, from the first to the last."""
        found = []
        for each in self.program.role(*FORWARD):
            conv = ConvolutionForm.of(each.node)
            if conv is not None:
                layer = self.program.layers.get(each.name)
                found += [Layered(line, layer) for line in self.lines_of(conv)]
        return found

    def lines_of(self, conv: ConvolutionForm) -> Iterator[Line]:
        """One convolution: as correlations where it is one, and unfolded."""
        x, z, w = (self.symbols[node] for node in (conv.window.arg, conv.z, conv.weight))
        error = self.program.by_name.get(str(conv.z.label.delta))
        if error is None:  # nothing in it or before it is trained
            return
        delta = self.symbols[error]
        if conv.is_correlation:
            yield from self._correlations(conv, x, z, w, delta)
        yield from self._products(conv, x, z, w, delta)

    def _correlations(
        self, conv: ConvolutionForm, x: Formula, z: Formula, w: Formula, delta: Formula
    ) -> Iterator[Line]:
        strided = any(slide.stride > 1 for slide in conv.slides)
        error = Call("spread", (delta,)) if strided else delta
        padding = f"padding {conv.numbers('padding')}"
        right = self._with_bias(conv, Correlation(w, x), None)
        note = f"stride {conv.numbers('stride')}, {padding}"
        yield self._line(conv, "correlation", "value", z, right, note)
        if (left := self.behind(conv)) is not None:
            right = Correlation(Call("flip", (w,)), error)
            note = f"full: {conv.numbers('around')} zeros before δ"
            yield self._line(conv, "full", "delta", left, right, note)
        if conv.weight.trained:
            left, right = self.slope(conv.weight), Correlation(error, x)
            samples = ", summed over the samples" if self.program.samples else ""
            note = f"for each pair of channels, {padding}{samples}"
            yield self._line(conv, "kernel", "gradient", left, right, note)

    def _products(
        self, conv: ConvolutionForm, x: Formula, z: Formula, w: Formula, delta: Formula
    ) -> Iterator[Line]:
        """Z = W U(X), or where it is transposed X = W U(Z): so Z = Uᵀ(Wᵀ X)."""
        unfold = Symbol("U", str(self.program.layers.get(conv.z.name, "")))
        into, back = (transpose(w), w) if self.by_rows else (w, transpose(w))
        read, made = (delta, x) if conv.is_transposed else (x, delta)
        windows = AppliedFormula(unfold, (read,))
        gathered = self._times(into, windows)
        folded = AppliedFormula(transpose(unfold), (self._times(back, made),))
        forward, backward = (folded, gathered) if conv.is_transposed else (gathered, folded)
        right = self._with_bias(conv, forward, Ones())
        yield self._line(conv, "unfolded", "value", z, right, self._shape(conv))
        if (left := self.behind(conv)) is not None:
            yield self._line(conv, "folded", "delta", left, backward)
        if conv.weight.trained:
            sides = (transpose(made), windows) if self.by_rows else (made, transpose(windows))
            yield self._line(conv, "weight", "gradient", self.slope(conv.weight), product(*sides))
        bias = conv.window.bias
        if bias is not None and bias.trained:
            summed = product(transpose(delta) if self.by_rows else delta, Ones())
            yield self._line(conv, "bias", "gradient", self.slope(bias), summed)

    def _times(self, left: Formula, right: Formula) -> Formula:
        """A matrix on the left of columns, or on the right of rows."""
        return product(right, left) if self.by_rows else product(left, right)

    def _shape(self, conv: ConvolutionForm) -> str:
        """How the weight is laid out, and what U has."""
        first, *rest = (axis.size or 1 for axis in conv.weight.axes)
        line = "row" if self.by_rows else "column"
        groups = "group by group; " if conv.in_groups else ""
        return f"{groups}W is {first} × {prod(rest)}; U has a {line} for each {self.places}"

    def _with_bias(self, conv: ConvolutionForm, formula: Formula, ones: Formula | None) -> Formula:
        if conv.window.bias is None:
            return formula
        bias = self.symbols[conv.window.bias]
        if ones is not None:
            bias = (
                product(ones, transpose(bias)) if self.by_rows else product(bias, transpose(ones))
            )
        return Sum((formula, bias))

    def behind(self, conv: ConvolutionForm) -> Formula | None:
        """∂ℓ/∂ what it reads; its own term of it where others read that, too; None for data."""
        read = conv.window.arg
        if not isinstance(read, Named):
            return None
        loss, z, x = (self.symbols[node] for node in (self.program.loss, conv.z, read))
        if self.program.users.get(read, ()) == (conv.z,):
            return Partial(loss, x)
        return ProductFormula((Partial(loss, z), Partial(z, x)))

    def slope(self, parameter: Parameter) -> Formula:
        """∂ℓ/∂ a parameter."""
        return Partial(self.symbols[self.program.loss], self.symbols[parameter])

    def _line(
        self,
        conv: ConvolutionForm,
        kind: str,
        role: Role,
        left: Formula,
        right: Formula,
        note: str = "",
    ) -> Line:
        return Line(f"{kind}.{conv.z.name}", role, left, right, note=note)
