"""Random heads of attention: the laws beside draws."""

from __future__ import annotations

import numpy as np
from attention_by_draws import Case


def run(count: int, draws: int, seed: int) -> float:
    """The largest distance of a law from draws, in standard errors with 4 % for finite widths."""
    rng = np.random.default_rng(seed)
    largest = 0.0
    for _ in range(count):
        case = Case(
            tokens=int(rng.integers(2, 48)),
            width=128,
            d=int(rng.choice([64, 128])),
            variance=float(rng.uniform(0.05, 1.2)),
            correlation=float(rng.choice([0.0, rng.uniform(0, 0.8)])),
            of_cotangent=float(rng.choice([0.0, rng.uniform(0, 0.8)])),
            causal=bool(rng.random() < 0.4),
        )
        mean, error = case.drawn(draws, int(rng.integers(2**31)))
        law = case.law()
        noise = np.sqrt(error**2 + (0.04 * mean) ** 2) + 1e-3 * np.abs(mean).max()
        apart = np.abs(mean - law) / noise
        assert (apart < 4).all(), (case, mean, error, law)
        largest = max(largest, float(apart.max()))
    print(f"attention, seed {seed}: {count} heads, at most {largest:.1f} errors apart")
    return largest


def test_laws_of_random_heads_are_what_draws_say(size):
    assert run(size(3, 60), size(40, 400), seed=4) > 0
