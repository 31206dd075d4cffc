"""A product as it is read: tensors and wires as they come, joined where they are one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from pullback.diagram.tensor_network import DiagramTensor, TensorNetwork, Wire
from pullback.ir import Axis


@dataclass
class NetworkBuilder:
    """Tensors and wires as they come; wires that are found to be one are joined."""

    coefficient: float
    axes: list[Axis] = field(default_factory=list)
    joined: list[int] = field(default_factory=list)
    tensors: list[tuple[DiagramTensor, tuple[int, ...]]] = field(default_factory=list)

    def wire(self, axis: Axis) -> int:
        """A new wire."""
        self.axes.append(axis)
        self.joined.append(len(self.joined))
        return len(self.joined) - 1

    def find(self, wire: int) -> int:
        """The wire that this one has become."""
        while self.joined[wire] != wire:
            wire = self.joined[wire]
        return wire

    def join(self, one: int, other: int) -> None:
        """Make one wire of two."""
        low, high = sorted((self.find(one), self.find(other)))
        self.joined[high] = low

    def tensor(self, tensor: DiagramTensor, legs: tuple[int, ...]) -> None:
        """A tensor whose legs end at wires."""
        self.tensors.append((tensor, legs))

    def network(self, places: Sequence[int]) -> TensorNetwork:
        """The finished product; the places of the result are at some wires."""
        ends: dict[int, list[tuple[int, int]]] = defaultdict(list)
        free: dict[int, list[int]] = defaultdict(list)
        for at, (_, legs) in enumerate(self.tensors):
            for leg, wire in enumerate(legs):
                ends[self.find(wire)].append((at, leg))
        for at, wire in enumerate(places):
            free[self.find(wire)].append(at)
        wires = [
            Wire(self.axes[wire], tuple(ends[wire]), tuple(free[wire]))
            for wire in range(len(self.axes))
            if self.find(wire) == wire
        ]
        return TensorNetwork(
            self.coefficient, tuple(tensor for tensor, _ in self.tensors), tuple(wires)
        )
