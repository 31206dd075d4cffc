"""``summary``: what each layer of a network does, its sizes, parameters and multiply-adds."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from pullback.interop.subject import takes_module
from pullback.ir import Axis, Contract, Named, Parameter, Pattern, inside
from pullback.ir.flow import flow
from pullback.ir.forms import Affine, Form, Lookup, Opaque, Pointwise, Recursion
from pullback.ir.window import Window
from pullback.net.network import Network
from pullback.report.words.functions import function_name
from pullback.report.words.numbers import count

_HEAD = ("place", "does", "output", "parameters", "multiply-adds")


@dataclass(frozen=True)
class SummaryRow:
    """One equation: its place, what it does, its sizes after the batch, and what it costs.

    A parameter counts where it is read first; ``madds`` are of the forward pass of one sample, None
    where they are not counted.
    """

    place: str
    does: str
    output: tuple[int | str, ...]
    parameters: int
    madds: int | None


@dataclass(frozen=True)
class Summary:
    """The rows in order of computation, and how many parameters are trained."""

    rows: tuple[SummaryRow, ...]
    trained: int
    frozen: int

    @property
    def parameters(self) -> int:
        """How many numbers are learnt, or stay as they are."""
        return self.trained + self.frozen

    @property
    def madds(self) -> int:
        """The multiply-adds of one sample's forward pass, as far as they are counted."""
        return sum(row.madds or 0 for row in self.rows)

    def text(self) -> str:
        """The rows as a table, and the totals."""
        cells = [_HEAD, *(_cells(row) for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [
            "  ".join(
                cell.rjust(width) if at > 2 else cell.ljust(width)
                for at, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in cells
        ]
        kept = f", {self.frozen:,} of them frozen or states" if self.frozen else ""
        atleast = "at least " if any(row.madds is None for row in self.rows) else ""
        return "\n".join(
            [
                *lines,
                "",
                f"{count(self.parameters, 'parameter')}{kept} "
                f"({4 * self.parameters / 1e6:,.2f} MB in float32)",
                f"{atleast}{count(self.madds, 'multiply-add')} a sample, forward",
            ]
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "layers": [{**vars(row), "output": list(row.output)} for row in self.rows],
            "parameters": self.parameters,
            "trained": self.trained,
            "multiply_adds": self.madds,
        }

    def __repr__(self) -> str:
        return f"Summary({len(self.rows)} rows, {count(self.parameters, 'parameter')})"


@takes_module("X")
def summary(net: Network, X: Any = None) -> Summary:
    """A table of a network, or of a torch module with an example X (batch, …), layer by layer.

    Axes whose size is not known are shown by their names; X tells them.

    >>> import pullback as pb
    >>> net = pb.Network(pb.Sequential(pb.Linear(4, 8), pb.ReLU(), pb.Linear(8, 3)), pb.MSELoss())
    >>> print(summary(net).text())
    place  does    output  parameters  multiply-adds
    0      linear  8               40             32
    1      ReLU    8                0              0
    2      linear  3               27             24
    <BLANKLINE>
    67 parameters (0.00 MB in float32)
    56 multiply-adds a sample, forward
    """
    lengths: dict[Axis, int] = {}
    if X is not None and len(net.xs) == 1:
        (leaf,) = net.xs.values()
        lengths = dict(zip(leaf.axes[1:], X.shape[1:], strict=False))
    held: set[Parameter] = set()
    rows = []
    for equation, form in flow(net.eval().graph).items():
        if equation.role in ("z", "a", "stat"):
            own = {n for n in inside(equation) if isinstance(n, Parameter)} - held
            held |= own
            rows.append(_row(equation, form, own, lengths))
    sizes = {spec.name: prod(spec.shape) for spec in net.specs}
    trained = sum(sizes[name] for name in net.trained)
    return Summary(tuple(rows), trained, sum(sizes.values()) - trained)


def _row(equation: Named, form: Form, own: set[Parameter], lengths: dict[Axis, int]) -> SummaryRow:
    known = {axis: axis.size for axis in equation.axes if axis.size is not None} | lengths
    output = tuple(known.get(axis, str(axis.name)) for axis in equation.axes[1:])
    parameters = sum(prod(axis.size or 1 for axis in each.axes) for each in own)
    madds = None if isinstance(form, Recursion) else _madds(equation, lengths)
    madds = 0 if isinstance(form, Lookup) else madds  # rows are read, and no one-hot is multiplied
    does = _does(equation, form)
    return SummaryRow(equation.label.place or "model", does, output, parameters, madds)


def _does(equation: Named, form: Form) -> str:
    if isinstance(form, Pointwise):
        return function_name(form.function)
    if isinstance(form, Window) and any(isinstance(each, Parameter) for each in inside(equation)):
        return "weighted window"
    names: dict[type[Form], str] = {Affine: "linear", Opaque: "formula"}
    return names.get(type(form), type(form).__name__.lower())


def _madds(equation: Named, lengths: dict[Axis, int]) -> int:
    """Those of the sums of products in an equation, for one sample.

    An index that a pattern gives, as that of a window's input, is no loop of its own.
    """
    total = 0
    for node in inside(equation):
        if not isinstance(node, Contract):
            continue
        patterns = [arg for arg in node.args if isinstance(arg, Pattern)]
        factors = [arg for arg in node.args if arg.axes and arg not in patterns]
        loops = {axis for arg in node.args for axis in arg.axes} - {*equation.axes[:1]}
        for each in (index for pattern in patterns for index in pattern.equations):
            given = max(loops & {*each.axes}, key=lambda axis: _size(axis, lengths), default=None)
            loops -= {given} if given is not None else set()
        if len(factors) > 1 and loops - {*node.axes}:
            total += prod(_size(axis, lengths) for axis in loops)
    return total


def _size(axis: Axis, lengths: dict[Axis, int]) -> int:
    return axis.size or lengths.get(axis, 1)


def _cells(row: SummaryRow) -> tuple[str, ...]:
    madds = "not counted" if row.madds is None else f"{row.madds:,}"
    return (
        row.place,
        row.does,
        " × ".join(map(str, row.output)) or "1",
        f"{row.parameters:,}",
        madds,
    )
