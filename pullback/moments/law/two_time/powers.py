"""Powers of one random matrix at finite width: what repeating the same weights does to a mean.

W is n × n with independent normal entries of variance 1/n. Wick's theorem pairs the first W of a
trace with each other one, which gives traces of the same kind: one of Wᵃ Wᵀᵇ beside some of Wᵐ.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from math import comb

from pullback.errors import NotApplicableError

_MOST = 20  # factors of W and Wᵀ each; beyond, there are too many traces


def mean_of_powers(j: int, k: int, n: int) -> float:
    """E tr(Wʲ Wᵀᵏ)/n, exact.

    For j = k it is 1 in the limit, 1 + O(k⁴/n²) at first, and it explodes from k ≈ √n.
    Raises NotApplicableError for more than 20 factors.

    >>> round(16**4 * mean_of_powers(4, 4, 16)) == 16**4 + 28 * 16**2 + 28 * 16 + 48
    True
    """
    if max(j, k) > _MOST:
        raise NotApplicableError(
            f"the mean of power {max(j, k)} of a matrix is known up to power {_MOST}"
        )
    return _traces(max(j, k), min(j, k), (), n)


@lru_cache(maxsize=2**18)
def _traces(a: int, b: int, powers: tuple[int, ...], n: int) -> float:
    """E of tr(Wᵃ Wᵀᵇ) ∏ tr(Wᵐ), a ≥ b, over n to the number of traces."""
    if (a + b + sum(powers)) % 2:
        return 0.0
    if a == 0:
        return _traces(powers[0], 0, powers[1:], n) if powers else 1.0

    def next_to(one: int, other: int, rest: tuple[int, ...]) -> float:
        return _traces(max(one, other), min(one, other), rest, n)

    total = sum(next_to(b + c, a - 2 - c, powers) for c in range(a - 1)) / n  # with another W
    for c in range(b):  # with a Wᵀ: the trace falls apart
        left = b - 1 - c
        total += next_to(a - 1, c, tuple(sorted((*powers, left))) if left else powers)
    for m, times in Counter(powers).items():  # with a W of another trace: the two become one
        rest = list(powers)
        rest.remove(m)
        total += times * m * next_to(a - 1, b + m - 1, tuple(rest)) / n**2
    return total


def diagonal_path(turns: int, kept: float, gain: float, n: int | None = None) -> float:
    """E ‖h‖² after so many turns of h ← a h + b W h over what it was before.

    In the limit it is Σ C(T, k)² a^(2(T − k)) b^(2k): paths that use W equally often add up. At
    width n paths that do not meet as well. Raises NotApplicableError for more than 20 turns there.

    >>> round(diagonal_path(10, 0.5, 0.5), 5)
    0.1762
    """
    ways = [comb(turns, k) * kept ** (turns - k) * gain**k for k in range(turns + 1)]
    if n is None:
        return sum(way**2 for way in ways)
    return sum(
        one * other * mean_of_powers(j, k, n)
        for j, one in enumerate(ways)
        for k, other in enumerate(ways)
    )
