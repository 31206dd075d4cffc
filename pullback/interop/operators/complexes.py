"""Complex values as two real ones: Fourier transforms are products with cosines and sines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from pullback.errors import ConversionError
from pullback.interop.builder import Builder
from pullback.interop.operators import parts, products
from pullback.interop.operators.elementwise import mapped
from pullback.interop.operators.grids import mixed
from pullback.interop.operators.reductions import ROOT
from pullback.interop.operators.shapes import filled_like
from pullback.interop.operators.windows import stem
from pullback.interop.rows import Array, Held
from pullback.interop.values import ComplexPair, PlacedNode, place_of
from pullback.ir import Contract, Node, symbol

X, Y = symbol(0), symbol(1)
_NORMS = ("backward", "ortho", "forward")
# what does to a complex value what it does to both of its parts
_OF_PARTS = (
    "getitem", "slice", "select", "narrow", "reshape", "view", "flatten", "unflatten", "permute",
    "transpose", "unsqueeze", "squeeze", "expand", "contiguous", "clone", "identity", "cat",
    "stack", "sum", "mean", "pad", "constant_pad_nd", "roll", "flip", "slice_scatter",
    "select_scatter", "copy", "neg", "chunk", "split", "to", "repeat", "movedim",
)  # fmt: skip


def computed(
    b: Builder, name: str, args: tuple[Any, ...], options: dict[str, Any],
    real: Callable[..., Any] | None,
) -> Any:  # fmt: skip
    """What an operator makes of complex values; ``real`` is what it does with real ones."""
    if name in _OF_PARTS and real is not None:
        two = [
            real(b, *(_part(b, a, at) for a in args), **{k: _part(b, v, at) for k, v in
                                                         options.items()})
            for at in (0, 1)
        ]  # fmt: skip
        if isinstance(two[0], tuple):
            return tuple(_named(b, *pair) for pair in zip(*two, strict=True))
        return _named(b, two[0], two[1])
    if name in BY_NAME:
        return BY_NAME[name](b, *args, **options)
    raise ConversionError("it reads complex numbers; pullback reads their sums, products and FFTs")


def _part(b: Builder, value: Any, at: int) -> Any:
    """The real or the imaginary part of an argument; that of a real tensor is 0."""
    if isinstance(value, ComplexPair):
        return value.parts[at]
    if isinstance(value, tuple):
        return tuple(_part(b, each, at) for each in value)
    if at and isinstance(value, (PlacedNode, Held)):
        return filled_like(b, value, 0.0)
    return value


def _named(b: Builder, re: PlacedNode, im: PlacedNode) -> ComplexPair:
    return ComplexPair(tuple(_equation(b, each, at) for each, at in ((re, "re"), (im, "im"))))


def _equation(b: Builder, value: PlacedNode, part: str) -> PlacedNode:
    value = b.named(value, part) if value.row is not None else value
    return replace(value, node=b.equation("a", value.node, part=part))


def _pair(b: Builder, value: Any) -> ComplexPair:
    """A value as complex."""
    if isinstance(value, ComplexPair):
        return value
    x = b.tensor(value)
    return ComplexPair((x, filled_like(b, x, 0.0)))


def complex_of(b: Builder, real: Any, imag: Any) -> ComplexPair:
    """Two real values as one complex one."""
    return _named(b, b.tensor(real), b.tensor(imag))


def from_last(b: Builder, input: Any) -> ComplexPair:
    """The two entries of the last axis as one complex number."""
    x = b.named(b.tensor(input))
    return _named(b, *(parts.selected(b, x, -1, at) for at in (0, 1)))


def to_last(b: Builder, input: Any) -> PlacedNode:
    """Real and imaginary part along a new last axis."""
    pair = _pair(b, input)
    return b.named(replace(parts.stacked(b, pair.parts, -1), row=b.row))


def product(b: Builder, input: Any, other: Any) -> ComplexPair:
    """(a + bi)(c + di)."""
    return _of_two(b, input, other, lambda x, y: mapped(b, X * Y, (x, y)))


def matmul(b: Builder, input: Any, other: Any) -> ComplexPair:
    """The product of matrices."""
    return _of_two(b, input, other, lambda x, y: products.matmul(b, x, y))


def einsum(b: Builder, equation: Any, *operands: Any) -> ComplexPair:
    """A sum of products of two complex values."""
    flat = operands[0] if len(operands) == 1 and isinstance(operands[0], tuple) else operands
    if len(flat) != 2:
        raise ConversionError("it multiplies other than two complex values")
    return _of_two(b, *flat, lambda x, y: products.einsum(b, equation, x, y))


def _of_two(
    b: Builder, one: Any, other: Any, times: Callable[[Any, Any], PlacedNode]
) -> ComplexPair:
    """A product that is linear in both."""
    if not isinstance(other, ComplexPair):
        return _named(b, *(times(each, other) for each in one.parts))
    if not isinstance(one, ComplexPair):
        return _named(b, *(times(one, each) for each in other.parts))
    (a, bi), (c, di) = one.parts, other.parts
    ac, bd, ad, bc = (
        _equation(b, times(x, y), part)
        for x, y, part in ((a, c, "ac"), (bi, di, "bd"), (a, di, "ad"), (bi, c, "bc"))
    )
    return _named(b, mapped(b, X - Y, (ac, bd)), mapped(b, X + Y, (ad, bc)))


def joined(b: Builder, input: Any, other: Any, alpha: Any = 1, *, sign: int = 1) -> ComplexPair:
    """A sum or a difference."""
    if isinstance(other, (int, float)) or isinstance(input, (int, float)) or alpha != 1:
        raise ConversionError("it adds numbers to complex values")
    one, two = _pair(b, input), _pair(b, other)
    sums = (mapped(b, X + sign * Y, each) for each in zip(one.parts, two.parts, strict=True))
    return _named(b, *sums)


def over(b: Builder, input: Any, other: Any) -> ComplexPair:
    """A complex value over a real one."""
    if isinstance(other, ComplexPair):
        raise ConversionError("it divides by complex numbers")
    return _named(b, *(mapped(b, X / Y, (each, other)) for each in input.parts))


def conjugate(b: Builder, input: Any) -> ComplexPair:
    """a − bi."""
    re, im = _pair(b, input).parts
    return _named(b, re, mapped(b, -X, (im,)))


def modulus(b: Builder, input: Any) -> PlacedNode:
    """√(a² + b²); its slope at 0 is 0."""
    squares = mapped(b, X**2 + Y**2, _pair(b, input).parts)
    return mapped(b, ROOT, (b.named(squares, "squares"),))


def part_of(b: Builder, input: Any, *, at: int) -> PlacedNode:
    """The real or the imaginary part."""
    return _pair(b, input).parts[at]


# ------------------------------------------------------------------ Fourier transforms


def _waves(n: int, m: int, k: int, sign: int, scale: float) -> tuple[Array, Array]:
    """cos and ± sin of 2π i j/n, for i < m and j < k, times a number."""
    angle = 2 * np.pi * np.outer(np.arange(m), np.arange(k)) / n
    return scale * np.cos(angle), sign * scale * np.sin(angle)


def _scale(norm: Any, n: int, inverse: bool) -> float:
    if norm not in (None, *_NORMS):
        raise ConversionError(f"its norm is {norm!r}")
    if norm == "ortho":
        return float(n**-0.5)
    return 1 / n if inverse == (norm in (None, "backward")) else 1.0


def _dft(
    b: Builder, x: ComplexPair | PlacedNode, n: Any, dim: int, norm: Any, *, inverse: bool,
    half: bool,
) -> ComplexPair:  # fmt: skip
    """The discrete Fourier transform along an axis; only its first ``half`` where x is real."""
    first = x.parts[0] if isinstance(x, ComplexPair) else x
    at = place_of(dim, len(first.dims))
    size = b.known(first.dims[at])
    n = size if n is None else n
    if n < size:
        raise ConversionError(f"it takes {n} of {size} entries; slice them first")
    out = n // 2 + 1 if half else n
    waves = _waves(n, out, size, 1 if inverse else -1, _scale(norm, n, inverse))
    first, axis = b.along(first, at)
    new = b.fresh(stem(axis), out)
    cos, sin = (b.constant(name, (new, axis), wave) for name, wave in zip(("cos", "sin"), waves,
                                                                          strict=True))  # fmt: skip

    def times(value: PlacedNode, wave: Node) -> PlacedNode:
        node = b.brought(value, first.dims)
        over = tuple(new if each == axis else each for each in node.axes)
        dims = (*first.dims[:at], new, *first.dims[at + 1 :])
        return PlacedNode(Contract((node, wave), over), dims)

    if not isinstance(x, ComplexPair):
        return _named(b, times(x, cos), times(x, sin))
    rc, rs, ic, is_ = (
        _equation(b, times(each, wave), f"{name}_{which}")
        for each, which in zip(x.parts, ("re", "im"), strict=True)
        for wave, name in ((cos, "cos"), (sin, "sin"))
    )
    return _named(b, mapped(b, X - Y, (rc, is_)), mapped(b, X + Y, (rs, ic)))


def transformed(
    b: Builder, input: Any, n: Any = None, dim: int = -1, norm: Any = None, *,
    inverse: bool = False, half: bool = False,
) -> ComplexPair:  # fmt: skip
    """fft, ifft and rfft."""
    x = input if isinstance(input, ComplexPair) else b.named(b.tensor(input))
    return _dft(b, x, n, dim, norm, inverse=inverse, half=half)


def back_to_real(
    b: Builder, input: Any, n: Any = None, dim: int = -1, norm: Any = None
) -> PlacedNode:
    """irfft: the real sequence whose first frequencies these are."""
    pair = _pair(b, input)
    at = place_of(dim, len(pair.parts[0].dims))
    held = b.known(pair.parts[0].dims[at])
    n = 2 * (held - 1) if n is None else n
    kept = min(held, n // 2 + 1)
    cos, sin = _waves(n, n, kept, -1, _scale(norm, n, True))
    weight = np.where((np.arange(kept) == 0) | (2 * np.arange(kept) == n), 1.0, 2.0)
    waves = [np.pad(weight * wave, ((0, 0), (0, held - kept))) for wave in (cos, sin)]
    terms = [
        _equation(b, mixed(b, each, at, wave, name), name)
        for each, wave, name in zip(pair.parts, waves, ("cos", "sin"), strict=True)
    ]
    return mapped(b, X + Y, tuple(terms))


def along_several(
    b: Builder, input: Any, s: Any = None, dim: Any = (-2, -1), norm: Any = None, *, name: str
) -> Any:
    """A transform along two axes or more, one after the other: the last one first, or last back."""
    dims = list(dim)
    sizes = [None] * len(dims) if s is None else list(s)
    pairs = list(zip(dims, sizes, strict=True))
    if name == "irfft":
        for each, n in pairs[:-1]:
            input = transformed(b, input, n, each, norm, inverse=True)
        return back_to_real(b, input, pairs[-1][1], pairs[-1][0], norm)
    for at, (each, n) in enumerate(reversed(pairs)):
        half = name == "rfft" and not at
        input = transformed(b, input, n, each, norm, inverse=name == "ifft", half=half)
    return input


def as_decomposed(
    b: Builder, input: Any, dim: Any, normalization: int, last: Any = None, *, name: str
) -> Any:
    """aten's form: axes in the order of calculation, and a number for the norm."""
    dims = tuple(dim)
    back = name == "c2r" or (name == "c2c" and not last)
    norm = {0: "forward" if back else "backward", 1: "ortho", 2: "backward" if back else "forward"}
    given = {"dim": dims, "norm": norm[normalization]}
    if name == "c2r":
        size = [None] * (len(dims) - 1) + [last]
        return along_several(b, input, size, **given, name="irfft")
    kind = ("rfft" if last else "fft") if name == "r2c" else ("ifft" if back else "fft")
    return along_several(b, input, None, **given, name=kind)


def _several() -> Iterator[tuple[str, Callable[..., Any]]]:
    for name in ("fft", "ifft", "rfft", "irfft"):
        for end in ("2", "n"):
            yield f"fft_{name}{end}", lambda b, *a, _n=name, **o: along_several(b, *a, **o, name=_n)
    for name in ("r2c", "c2r", "c2c"):
        yield f"fft_{name}", lambda b, *a, _n=name, **o: as_decomposed(b, *a, **o, name=_n)


BY_NAME: dict[str, Callable[..., Any]] = {
    "view_as_complex": from_last, "complex": complex_of, "view_as_real": to_last,
    "mul": product, "matmul": matmul, "bmm": matmul, "einsum": einsum, "div": over,
    "add": joined, "sub": lambda b, x, y, alpha=1: joined(b, x, y, alpha, sign=-1),
    "conj": conjugate, "conj_physical": conjugate, "abs": modulus,
    "real": lambda b, x: part_of(b, x, at=0), "imag": lambda b, x: part_of(b, x, at=1),
    "fft_fft": transformed, "fft_irfft": back_to_real,
    "fft_ifft": lambda b, *a, **o: transformed(b, *a, **o, inverse=True),
    "fft_rfft": lambda b, *a, **o: transformed(b, *a, **o, half=True),
    **dict(_several()),
}  # fmt: skip
# those that make complex values of real ones
MAKERS = ("view_as_complex", "complex", *(name for name in BY_NAME if name.startswith("fft_")))
