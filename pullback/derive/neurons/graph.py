"""A small network as a graph of neurons: every entry of an equation is one.

Forward every neuron keeps d, its weighted sum without bias, and t, the slope of its activation.
Backward it keeps one number more, v = t · Σ w v over what it feeds; a weight's gradient is then
v times the weight's input. Where an equation is no weighted sum, w is its local slope.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.ir import Input, Node, Scalar

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Edge:
    """A weight from one node to another; the edges into the loss are constantly 1.

    ``parameter`` and ``place`` say which entry of which array the weight is; an edge without one
    has the local slope of an equation as its weight, and no gradient.
    """

    number: int
    source: str  # x1, 1, 2, …: an input's name or a neuron's number
    target: str
    weight: float
    parameter: str = ""
    place: tuple[int, ...] = ()
    gradient: float | None = None

    @property
    def name(self) -> str:
        return f"w{self.number}"


@dataclass(frozen=True)
class Neuron:
    """One neuron: its sum d, bias b, output, slope t, and gradient intermediate value v.

    One that is no weighted sum has its output as d, and a slope of 1; ``function`` is what it is
    of the neurons that it reads, None where that is not to be had for one neuron alone.
    """

    number: int
    layer: int
    output_name: str
    d: float
    b: float
    output: float
    t: float
    v: float
    incoming: tuple[Edge, ...]
    outgoing: tuple[Edge, ...]
    is_output: bool = False
    is_sum: bool = True
    function: Scalar | None = None


@dataclass(frozen=True)
class LossNode:
    """The loss e; ``components`` has its derivative with respect to each output alone."""

    number: int
    value: float
    components: tuple[float, ...]
    incoming: tuple[Edge, ...]
    node: Node
    slope: Node  # the derivative that the components are entries of
    output: Input
    target: Input


@dataclass(frozen=True)
class NeuronGraph:
    """The filled graph: inputs, neurons in the order of their numbers, and the loss.

    ``gradients`` are those of the parameters; ``notes`` say of which equations single neurons have
    no formula, and why.
    """

    inputs: tuple[float, ...]
    targets: tuple[float, ...]
    neurons: tuple[Neuron, ...]
    edges: tuple[Edge, ...]
    loss: LossNode
    gradients: Mapping[str, Array]
    notes: tuple[str, ...] = ()
