"""Piecewise linear networks: one matrix on the activation region of x, and how far that reaches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pullback.closed.network.chain import Chain
from pullback.closed.network.items import LocalItem, SlopeItem, plain
from pullback.closed.network.pieces import LinearPieces, pieces
from pullback.closed.network.point import ChainPoint
from pullback.closed.network.product import ChainForm
from pullback.closed.network.rivals import Rivals
from pullback.closed.record import Array, as_floats
from pullback.errors import NotApplicableError, ShapeError


@dataclass(frozen=True)
class Face:
    """A face of the region: the unit whose argument reaches a bend of its f there.

    Of the largest of some entries it is the result that another entry becomes there: ``rival`` is
    that entry's place among all, and ``bend`` is 0, how far the two are then apart.
    """

    path: str
    unit: int
    bend: float
    distance: float
    rival: int | None = None


@dataclass(frozen=True, eq=False)
class LinearRegion:
    """The polytope of all x on which every unit stays on its piece; ``x`` lies in it.

    ``distance`` is the Euclidean distance from x to the nearest face, infinite where there is none.
    """

    chain: Chain
    point: ChainPoint

    @cached_property
    def _bends(self) -> dict[str, LinearPieces]:
        slopes = (item for item in self.chain.slopes)
        found = {item.path: pieces(item.function) for item in slopes}
        return {path: each for path, each in found.items() if each is not None and each.breaks}

    @cached_property
    def _contests(self) -> dict[str, tuple[LocalItem, Rivals]]:
        kinks = (item for item in self.chain.kinks if isinstance(item, LocalItem))
        return {item.path: (item, item.rivals) for item in kinks if item.rivals is not None}

    @cached_property
    def pattern(self) -> dict[str, Array]:
        """The piece of each unit by path: 0, 1, … from the left; for ReLU 1 is active.

        Where the largest of some entries is taken, it is which of them that is.
        """
        return self._pattern(self.point)

    def _pattern(self, point: ChainPoint) -> dict[str, Array]:
        bends = {path: each.index(point.z[path]) for path, each in self._bends.items()}
        contests = {
            path: rivals.chosen(point.z[path]) for path, (_, rivals) in self._contests.items()
        }
        return bends | contests

    def __contains__(self, x: Any) -> bool:
        found = self._pattern(self.point.again(self._checked(x)))
        return all(np.array_equal(found[path], held) for path, held in self.pattern.items())

    def _checked(self, x: Any) -> Array:
        held = as_floats("x", x)
        if held.shape != self.point.x.shape:
            raise ShapeError(f"x has shape {held.shape}; expected {self.point.x.shape}: one sample")
        return held

    @cached_property
    def faces(self) -> tuple[Face, ...]:
        """The hyperplanes around x, the nearest first; within the region they bound it."""
        met = self.point.arriving(self.chain.items)
        normals = {item.path: G for item, G in met.items() if isinstance(item, SlopeItem)}
        found = []
        for path, each in self._bends.items():
            z, length = self.point.z[path], np.linalg.norm(normals[path], axis=1)
            edges = np.array([-np.inf, *each.breaks, np.inf])
            for side in (0, 1):
                bends = edges[self.pattern[path] + side]
                for unit in np.flatnonzero(np.isfinite(bends) & (length > 0)):
                    far = float(abs(z[unit] - bends[unit]) / length[unit])
                    found.append(Face(path, int(unit), float(bends[unit]), far))
        for path, (item, rivals) in self._contests.items():
            found += _contested(path, rivals, self.point.z[path], met[item])
        return tuple(sorted(found, key=lambda face: face.distance))

    @property
    def distance(self) -> float:
        """How far x is from the nearest face."""
        return self.faces[0].distance if self.faces else float("inf")

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "distance": self.distance if self.faces else None,
            "nearest": vars(self.faces[0]) if self.faces else None,
            "faces": len(self.faces),
            "pattern": {path: each.tolist() for path, each in self.pattern.items()},
        }


@dataclass(frozen=True, eq=False, repr=False)
class RegionForm(ChainForm):
    """A piecewise linear network: around x the masks are constants, the product one matrix."""

    @property
    def exists(self) -> bool:
        return True

    @property
    def method(self) -> str:
        return "region"

    @property
    def form(self) -> str:
        return f"{self._formula}, one matrix on the activation region of x"

    @cached_property
    def region(self) -> LinearRegion:
        """The region of x; raises NotApplicableError where no x was given."""
        return LinearRegion(self.chain, self._known)

    @property
    def _missing(self) -> str:
        return "params and one x, as in pb.closed_form(net, params, x)"

    def evaluate(self, delta_out: Any, layer: int, x: Any = None) -> Array:
        """δ at a layer for the x of the region, or for another x (features,) inside it.

        Raises NotApplicableError for an x in another region, and what evaluating raises.
        """
        if x is not None and x not in self.region:
            raise NotApplicableError(
                "x lies in another activation region: some unit is on another piece there. This "
                f"form holds within {self.region.distance:.3g} of its own x in every direction; "
                "ask pb.closed_form(net, params, x) again"
            )
        return super().evaluate(delta_out, layer)

    @property
    def reason(self) -> str:
        why = f"{self._bent} on the activation region of x, a polytope, and the product is one "
        why += "matrix there. "
        if self.point is None:
            return why + f"Which region it is needs {self._missing}."
        if not self.region.faces:
            return why + "No unit can leave its piece: the region is the whole space."
        face = self.region.faces[0]
        who, tied, crossed = (
            f"unit {face.unit} of {face.path}",
            "is at a bend of f",
            "changes its piece",
        )
        if face.rival is not None:
            tied, crossed = "is tied", f"becomes entry {face.rival}"
            who = f"the largest entry for {who}"
        if face.distance == 0:
            return f"{why}x lies on a face: {who} {tied}."
        return f"{why}The nearest face is {face.distance:.3g} away from x: there {who} {crossed}."

    @property
    def _bent(self) -> str:
        """Why the factors stand still."""
        said = []
        slopes = [item for item in self.chain.kinks if isinstance(item, SlopeItem)]
        if slopes:
            values = len(set(_slopes_of(slopes[0])))
            said.append(
                f"f is piecewise linear (f′({plain(slopes[0].label)}) takes {values} values), so "
                "each D is constant"
            )
        if len(slopes) < len(self.chain.kinks):
            said.append("the same entry is the largest of each window")
        text = " and ".join(said)
        return text[0].upper() + text[1:] if not slopes else text

    @property
    def conditions(self) -> tuple[str, ...]:
        return ("inside the activation region of x; evaluate(δ, layer, x) checks another x",)

    def _numbers(self) -> dict[str, str]:
        found = super()._numbers()
        if self.point is not None:
            region = self.region
            found["region"] = f"{len(region.faces):,} faces, the nearest {region.distance:.3g} away"
        return found

    def to_dict(self) -> dict[str, Any]:
        return super().to_dict() | {"region": None if self.point is None else self.region.to_dict()}


def _contested(path: str, rivals: Rivals, entries: Array, arriving: Array) -> Iterator[Face]:
    """Where another entry becomes the largest, for ``arriving`` (places, features)."""
    for result, (places, best) in enumerate(zip(rivals.table, rivals.chosen(entries), strict=True)):
        others = places[(places >= 0) & (places != places[best])]
        normals = arriving[others] - arriving[places[best]]
        length = np.linalg.norm(normals, axis=1)
        for other, each in zip(others[length > 0], length[length > 0], strict=True):
            far = float((entries[places[best]] - entries[other]) / each)
            yield Face(path, result, 0.0, far, int(other))


def _slopes_of(item: SlopeItem) -> tuple[float, ...]:
    found = pieces(item.function)
    return () if found is None else tuple(slope for slope, _ in found.lines)
