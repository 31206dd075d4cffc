"""Tensor diagrams: any node as tensors joined by their axes, read off the graph and drawn."""

from pullback.diagram.diagram import Diagram, diagram_of
from pullback.diagram.tensor_network import DiagramLine, DiagramTensor, TensorNetwork, Wire

__all__ = ["Diagram", "DiagramLine", "DiagramTensor", "TensorNetwork", "Wire", "diagram_of"]
