"""The blocks that a graph is a chain of, read off its flow: Linear, activations, and skips."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pullback.errors import ConversionError
from pullback.interop.formula import block_of
from pullback.ir import Contract, Graph, Input, Named, Node
from pullback.ir.flow import flow
from pullback.ir.forms import Affine, Form, Join, Pointwise
from pullback.ir.source import bare, is_read
from pullback.nn import (
    Bernoulli,
    Block,
    Dropout,
    Dropout1d,
    Dropout2d,
    Identity,
    Linear,
    Noise,
    ParameterSpec,
    Residual,
    Sequential,
)

# what a Linear is called whose weight and bias these are, and whether its weight is (in, out);
# None where they are none of one Linear
Called = Callable[[ParameterSpec, ParameterSpec | None, bool], str | None]
NONE: Mapping[str, Noise] = {}
_DEEPEST = 40  # skips inside one another


def as_block(
    start: Node,
    output: Node,
    specs: Sequence[ParameterSpec],
    called: Called,
    named: bool = True,
    noise: Mapping[str, Noise] = NONE,
) -> Block | None:
    """The block from a node to another, if Linear, activations, Dropout and x + scale · f(x) do.

    A Linear is called by its weights only if ``named``.
    """
    if not isinstance(output, Named) and output is not start:
        return None
    by_name = {each.name: each for each in specs}
    reading = _Reading(flow(Graph({"output": output})), by_name, called, named, noise)
    found = reading.chain(start, output, _DEEPEST)
    return None if found is None else _one(found)


def _one(blocks: list[Block]) -> Block:
    if len(blocks) == 1:
        return blocks[0]
    return Sequential(*blocks) if blocks else Identity()


class _Reading:
    """Each parameter is one Linear's: two uses of it are no chain of blocks."""

    def __init__(
        self,
        forms: Mapping[Named, Form],
        specs: Mapping[str, ParameterSpec],
        called: Called,
        named: bool,
        noise: Mapping[str, Noise],
    ) -> None:
        self.noise = noise
        self.forms, self.specs, self.called, self.named = forms, specs, called, named
        self.rank: dict[Node, int] = {node: at for at, node in enumerate(forms)}
        self.used: set[str] = set()

    def chain(self, start: Node, end: Node, depth: int) -> list[Block] | None:
        """The blocks from one node to another, in order."""
        found: list[Block] = []
        while end is not start:
            if not isinstance(end, Named) or self.rank.get(start, -1) > self.rank[end]:
                return None
            step = self._step(end, self.forms[end], depth)
            if step is None:
                return None
            block, end = step
            found.append(block)
        return found[::-1]

    def _step(self, at: Named, form: Form, depth: int) -> tuple[Block, Node] | None:
        if (left := self._dropout(at)) is not None:
            return left
        if isinstance(form, Affine):
            linear = self._linear(at, form)
            return None if linear is None else (linear, form.arg)
        if isinstance(form, Pointwise) and form.arg.axes == at.axes:
            try:
                return block_of(form.function.expr), form.arg
            except ConversionError:
                return None
        if isinstance(form, Join) and len(form.args) == 2 and depth:
            return self._residual(at, form, depth)
        return None

    def _dropout(self, at: Named) -> tuple[Block, Node] | None:
        factors = at.arg.factors if isinstance(at.arg, Contract) else ()
        masks = [f for f in factors if isinstance(f, Input) and f.name in self.noise]
        args = [f for f in factors if is_read(f) and f not in masks]
        if len(masks) != 1 or len(args) != 1 or args[0].axes != at.axes:
            return None
        law = self.noise[masks[0].name].law
        if not isinstance(law, Bernoulli):
            return None
        mean = law.mean
        plain = round(1 - mean, 12)  # as somebody wrote it
        p = plain if 1 - plain == mean else 1 - mean
        kinds = {3: Dropout1d, 4: Dropout2d} if masks[0].axes == at.axes[:2] else {}
        if masks[0].axes == at.axes:
            return Dropout(p), bare(args[0])
        kind = kinds.get(len(at.axes))
        return None if kind is None else (kind(p), bare(args[0]))

    def _linear(self, at: Named, form: Affine) -> Linear | None:
        weight = self.specs[form.weight.name]
        bias = self.specs[form.bias.name] if form.bias is not None else None
        names = {each.name for each in (weight, bias) if each is not None}
        trained = form.weight.trained and (form.bias is None or form.bias.trained)
        last = form.summed == form.arg.axes[-1:] and at.axes[:-1] == form.arg.axes[:-1]
        plain = len(weight.shape) == 2 and form.scale == 1 and not form.shared
        if not (plain and last and trained) or names & self.used:
            return None
        turned = form.rows != form.weight.axes[:1]
        name = self.called(weight, bias, turned)
        if name is None:
            return None
        self.used |= names
        n_out, n_in = weight.shape[::-1] if turned else weight.shape
        return Linear(n_in, n_out, bias is not None, name if self.named else None)

    def _residual(self, at: Named, form: Join, depth: int) -> tuple[Block, Node] | None:
        weights = form.weights
        if weights is None or any(len(each.axes) != len(at.axes) for each in form.args):
            return None
        # what is computed first is x
        (skip, one), (branch, scale) = sorted(
            zip(form.args, weights, strict=True),
            key=lambda each: self.rank.get(each[0], -1),
        )
        if one != 1 or (inner := self.chain(skip, branch, depth - 1)) is None:
            return None
        return Residual(_one(inner), scale), skip
