"""The gradient of a weight that is used many times: a block of one power, by doubling."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.closed.power.scaled import ScaledArray, times_two_to

Array = np.ndarray[Any, np.dtype[Any]]

_THIN = 2  # up to n/2 terms of rank one are cheaper than the matrix that they add up to
_SMALL = 1e-100  # a vector below it has lost too much to go on without a scale


def block_power(
    A: Array, delta: Array, state: Array, times: int
) -> tuple[ScaledArray, ScaledArray]:
    """The top-right block of [[Aᵀ, δhᵀ], [0, Aᵀ]]^times, and (Aᵀ)^times δ.

    That block is G_L = Σ_k (Aᵀ)^k δ hᵀ (Aᵀ)^(L−1−k). Doubling it, G_2m = X^m G_m + G_m X^m with
    X = Aᵀ, costs three products of matrices. The first few terms are held as vectors.

    >>> A, one = np.array([[2.0]]), np.array([1.0])
    >>> block_power(A, one, one, 3)[0].value("3·2²")
    array([[12.]])
    """
    scale = int(np.frexp(np.max(np.abs(A)))[1])  # every term has the same power of A's scale
    X = np.ascontiguousarray(times_two_to(A.T, -scale))
    bits = times.bit_length()
    lead = next(b for b in range(bits, 0, -1) if times >> (bits - b) <= max(len(A) // _THIN, 1))
    plain = _terms(X, delta, state, times >> (bits - lead))
    if plain is None:
        lead, plain = 1, (X, np.outer(delta, state))
    power, block = map(ScaledArray.of, plain)
    edge, row = ScaledArray.of(delta[:, None]), ScaledArray.of(state[None])
    end = power @ edge
    for at in reversed(range(bits - lead)):
        block = ScaledArray.of(
            power.mantissa @ block.mantissa + block.mantissa @ power.mantissa,
            power.exponent + block.exponent,
        )
        end = power @ end
        odd = times >> at & 1
        if at or odd:
            power = power @ power
        if odd:
            block = ScaledArray.of(X @ block.mantissa, block.exponent) + edge @ (row @ power)
            end = ScaledArray.of(X @ end.mantissa, end.exponent)
            power = ScaledArray.of(X @ power.mantissa, power.exponent)
    return (
        ScaledArray(block.mantissa, block.exponent + scale * (times - 1)),
        ScaledArray(end.mantissa[:, 0], end.exponent + scale * times),
    )


def _terms(X: Array, delta: Array, state: Array, count: int) -> tuple[Array, Array] | None:
    """X^count and the sum of the first terms, from the vectors X^k δ and hᵀ X^k themselves.

    None where these vectors become so small that they need scales of their own.
    """
    left, right, power = delta[None], state[None], X
    for at in reversed(range(count.bit_length() - 1)):
        left = np.concatenate([left, left @ power.T])
        right = np.concatenate([right, right @ power])
        power = power @ power
        if count >> at & 1:
            left = np.concatenate([left, left[-1:] @ X.T])
            right = np.concatenate([right, right[-1:] @ X])
            power = X @ power
    least = min(float(np.max(np.abs(rows), axis=1).min()) for rows in (left, right))
    return (power, left.T @ right[::-1]) if least > _SMALL else None
