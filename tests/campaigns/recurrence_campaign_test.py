"""Cells of one's own with random gains, inputs and lengths: the two-time recursion beside draws."""

from __future__ import annotations

import numpy as np
from recurrent_by_draws import CELLS, Own

from pullback.moments.law.two_time.process import OverTime


def run(count: int, draws: int, seed: int) -> float:
    """The largest distance from draws, in standard errors with 3 % for finite widths."""
    rng = np.random.default_rng(seed)
    largest = 0.0
    for number in range(count):
        name = list(CELLS)[number % len(CELLS)]
        step, weights = CELLS[name]
        gains = {each: float(rng.uniform(0.2, 1.5)) for each in weights}
        cell = Own(step, gains, n=96, turns=int(rng.integers(2, 12)))
        x, start = (float(rng.uniform(0, 2)) for _ in range(2))
        found = cell.law(x, start)
        ours = found.states[0].square[-1], found.backward((OverTime.last(cell.turns),)).before[0]
        mean, error = cell.drawn(draws, int(rng.integers(2**31)), x, start)
        apart = np.abs(mean - ours) / np.sqrt(error**2 + (0.03 * mean) ** 2)
        assert (apart < 4).all(), (name, gains, cell.turns, x, start, mean, error, ours)
        largest = max(largest, float(apart.max()))
    print(f"recurrence, seed {seed}: {count} cells, at most {largest:.1f} errors apart")
    return largest


def test_random_cells_are_what_draws_say(size):
    assert run(size(3, 100), size(20, 200), seed=5) > 0
