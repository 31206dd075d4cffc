"""Tensor diagrams: any node as tensors joined by their axes, read off the graph and drawn."""

from typing import TYPE_CHECKING

from pullback.lazy import lazy

if TYPE_CHECKING:
    from pullback.diagram.diagram import Diagram, diagram_of
    from pullback.diagram.tensor_network import DiagramLine, DiagramTensor, TensorNetwork, Wire

lazy(
    __name__,
    {
        "Diagram": "pullback.diagram.diagram",
        "diagram_of": "pullback.diagram.diagram",
        "DiagramLine": "pullback.diagram.tensor_network",
        "DiagramTensor": "pullback.diagram.tensor_network",
        "TensorNetwork": "pullback.diagram.tensor_network",
        "Wire": "pullback.diagram.tensor_network",
    },
)

__all__ = ["Diagram", "DiagramLine", "DiagramTensor", "TensorNetwork", "Wire", "diagram_of"]
