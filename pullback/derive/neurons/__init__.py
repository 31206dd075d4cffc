"""Each neuron by itself: tables, its graph and the drawing of it."""

from typing import TYPE_CHECKING

from pullback.lazy import lazy

if TYPE_CHECKING:
    from pullback.derive.neurons.numbering import graph_of
    from pullback.derive.neurons.table import Neurons

lazy(
    __name__,
    {
        "Neurons": "pullback.derive.neurons.table",
        "graph_of": "pullback.derive.neurons.numbering",
    },
)

__all__ = ["Neurons", "graph_of"]
