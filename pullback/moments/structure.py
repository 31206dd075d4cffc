"""Reading a network: a composition of Linear blocks, elementwise functions and skips."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pullback.errors import ConfigError, NotApplicableError
from pullback.ir import Scalar, symbol
from pullback.nn import Block, Elementwise, Linear, Residual, Sequential
from pullback.nn.block import joined

IDENTITY = Scalar.of(symbol(0), 1)


@dataclass(frozen=True)
class Affine:
    """z = W a + b; ``index`` counts the Linear blocks from the input."""

    index: int
    name: str
    n_in: int
    n_out: int
    bias: bool


@dataclass(frozen=True)
class Pointwise:
    """a = φ(z) on every unit; neighbours are merged into one function."""

    function: Scalar
    label: str


@dataclass(frozen=True)
class Skip:
    """h + scale · inner(h)."""

    scale: float
    inner: tuple[Op, ...]


Op = Affine | Pointwise | Skip


@dataclass(frozen=True)
class Structure:
    """A model as operations, input side first; ``tail`` is the activation after the last one."""

    ops: tuple[Op, ...]
    tail: Pointwise

    @property
    def affines(self) -> tuple[Affine, ...]:
        """The Linear blocks, in the order of ``index``."""
        return tuple(affines_in(self.ops))

    @property
    def activations(self) -> tuple[Pointwise, ...]:
        """The different hidden activations."""
        return tuple(dict.fromkeys(_pointwise(self.ops)))

    @property
    def outputs(self) -> int:
        """How many outputs the model has."""
        return self.affines[-1].n_out

    def chain(self) -> tuple[tuple[Affine, Pointwise], ...]:
        """Each Linear with the activation after it, where the network is a plain chain.

        Raises NotApplicableError where it is none.
        """
        if isinstance(self.ops[0], Pointwise) or any(isinstance(op, Skip) for op in self.ops):
            raise NotApplicableError("it is for plain chains that begin with a Linear, no skips")
        pairs: list[tuple[Affine, Pointwise]] = []
        for op in self.ops:
            if isinstance(op, Affine):
                pairs.append((op, Pointwise(IDENTITY, "Identity()")))
            elif isinstance(op, Pointwise):
                pairs[-1] = (pairs[-1][0], op)
        pairs[-1] = (pairs[-1][0], self.tail)
        return tuple(pairs)


def read(model: Block) -> Structure:
    """The structure of a model.

    Raises ConfigError for a block that is unknown here, or a model without a Linear.

    >>> from pullback.nn import Tanh
    >>> found = read(Sequential(Linear(4, 3), Tanh(), Linear(3, 2)))
    >>> [type(op).__name__ for op in found.ops], found.tail.label
    (['Affine', 'Pointwise', 'Affine'], 'Identity()')
    """
    reader = _Reader()
    ops = reader.read(model, "")
    if not reader.count:
        raise ConfigError(f"{model!r} has no Linear: there is no δ to forecast")
    tail = Pointwise(IDENTITY, "Identity()")
    if isinstance(ops[-1], Pointwise):
        *ops, tail = ops  # type: ignore[assignment]
    return Structure(tuple(ops), tail)


class _Reader:
    def __init__(self) -> None:
        self.count = 0

    def read(self, block: Block, path: str) -> list[Op]:
        if isinstance(block, Sequential):
            ops: list[Op] = []
            for at, part in enumerate(block.blocks):
                for op in self.read(part, joined(path, at)):
                    _append(ops, op)
            return ops
        if isinstance(block, Linear):
            self.count += 1
            n_in, n_out = block.in_features, block.out_features
            return [Affine(self.count - 1, block.called(path), n_in, n_out, block.bias)]
        if isinstance(block, Elementwise):
            return [Pointwise(block.function, repr(block))]
        if isinstance(block, Residual):
            return self._residual(block, path)
        raise ConfigError(
            f"a forecast cannot read {block!r}; it reads Sequential, Linear, Residual"
        )

    def _residual(self, block: Residual, path: str) -> list[Op]:
        inner = self.read(block.block, joined(path, "block"))
        if all(isinstance(op, Pointwise) for op in inner):
            (only,) = inner
            assert isinstance(only, Pointwise)
            both = symbol(0) + float(block.scale) * only.function.expr
            return [Pointwise(Scalar.of(both, 1), repr(block))]
        return [Skip(float(block.scale), tuple(inner))]


def _append(ops: list[Op], op: Op) -> None:
    if ops and isinstance(op, Pointwise) and isinstance(ops[-1], Pointwise):
        before = ops.pop()
        assert isinstance(before, Pointwise)
        both = op.function.expr.subs(symbol(0), before.function.expr)
        op = Pointwise(Scalar.of(both, 1), f"{op.label} of {before.label}")
    ops.append(op)


def affines_in(ops: Iterable[Op]) -> Iterator[Affine]:
    """The Linear blocks, those inside skips included, in the order of ``index``."""
    for op in ops:
        if isinstance(op, Affine):
            yield op
        elif isinstance(op, Skip):
            yield from affines_in(op.inner)


def _pointwise(ops: tuple[Op, ...]) -> Iterator[Pointwise]:
    for op in ops:
        if isinstance(op, Pointwise):
            yield op
        elif isinstance(op, Skip):
            yield from _pointwise(op.inner)
