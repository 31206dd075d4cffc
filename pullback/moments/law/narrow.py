"""How far a limit of wide layers may be off in a network as narrow as it is: a rule of thumb.

A sum over n units is not its mean: squares spread by 1/n, and what goes back through a weight meets
the values that the same weight made, the more so the more outputs share one input. Along a way from
a layer to the output the shares multiply.
"""

from __future__ import annotations

from math import exp, log1p, prod

from pullback.ir import Node
from pullback.moments.law.flow import Flow
from pullback.moments.law.linear import Share, Total
from pullback.moments.law.measured.part import reads


def looseness(flow: Flow) -> dict[Node, float]:
    """For each equation with an error: by which share RMS δ may differ from its limit, about."""
    logs: dict[Node, float] = {}
    for equation, law in reversed(list(flow.passed.items())):
        shares = law.shares if isinstance(law, Total) else ()
        narrow: dict[Node, float] = {
            share.read: _spread(share) for share in shares if share.read in flow.passed
        }
        for node in reads(equation):
            here = logs.get(equation, 0.0) + log1p(narrow.get(node, 0.0))
            logs[node] = max(here, logs.get(node, 0.0))
    return {node: exp(logs.get(node, 0.0) / 2) - 1 for node in flow.passed}


def narrowest(flow: Flow) -> int:
    """Over how many units the smallest sum of a layer's goes."""
    laws = [law for law in flow.passed.values() if isinstance(law, Total)]
    sums = [s for law in laws for s in law.shares if s.read in flow.passed and _spread(s)]
    return min(map(_width, sums), default=1)


def _width(share: Share) -> int:
    units = share.units
    return 1 if units is None else max(1, prod(digit.size or 1 for digit in units.wide))


def _spread(share: Share) -> float:
    wiring = share.wiring
    if wiring.mixes and share.variance:
        return max(1.0, wiring.fan_out / wiring.fan_in) / _width(share)
    # a plain sum of units: of products, whose fourth moments count
    return 2.0 / wiring.fan_in if wiring.fan_in > 1 and not wiring.mixes else 0.0
