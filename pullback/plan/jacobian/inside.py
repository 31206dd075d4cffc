"""An equation within a network as the end of a Jacobian, or as what it is by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from pullback.errors import NotApplicableError, unknown
from pullback.ir import Input, Named, Node, Parameter, walk
from pullback.ir.axis import show
from pullback.ir.lift import lifted
from pullback.ir.lookup import is_whole
from pullback.net.inputs import BATCH
from pullback.net.network import Network
from pullback.net.program import Array, Compiled, compile_program


def equation(net: Network, kind: str, name: str, others: Sequence[str] = ("output",)) -> Named:
    """An equation of the forward pass by name.

    Raises UnknownNameError for another name, which may also have been one of ``others``, and
    NotApplicableError for one that is no sample's, or holds whole numbers.
    """
    found = {each.name: each for each in walk((net.output,)) if isinstance(each, Named)}
    if name not in found:
        raise unknown(kind, name, [*others, *found])
    node = found[name]
    if node.axes[:1] != (BATCH,) or any(axis.size is None for axis in node.axes[1:]):
        raise NotApplicableError(
            f"{name} has the axes {show(node.axes)}; expected the batch, and then axes whose sizes "
            "are known"
        )
    if is_whole(node):
        raise NotApplicableError(f"{name} holds whole numbers: there is no derivative by it")
    return node


@lru_cache(maxsize=64)
def apart(top: Node, within: Named) -> tuple[Input, Node]:
    """An input in the place of an equation, and what lies behind it."""
    leaf = Input(within.name, within.axes)
    return leaf, lifted((top,), {within: leaf})[0]


def value_of(
    net: Network, within: Named, held: Mapping[str, Array], inputs: Mapping[str, Array]
) -> Array:
    """What an equation is for a batch."""
    found: Array = _program(within, (*net.parameters.values(), *net.xs.values()))(held, inputs)[
        "value"
    ]
    return found


@lru_cache(maxsize=64)
def _program(within: Named, leaves: tuple[Input | Parameter, ...]) -> Compiled:
    return compile_program({"value": within}, f"What {within.name} is.", leaves=leaves)
