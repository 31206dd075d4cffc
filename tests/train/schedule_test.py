"""A schedule gives each step the rate that torch's scheduler of that name gives it."""

import warnings

import numpy as np
import pytest
import torch

import pullback as pb
from pullback.errors import ConfigError
from pullback.train.optim.schedule import rates_at

O = pb.optim
S = torch.optim.lr_scheduler
STEPS = 30


def warmed_up(optimizer):
    rise = S.LinearLR(optimizer, start_factor=0.25, total_iters=6)
    return S.SequentialLR(optimizer, [rise, S.CosineAnnealingLR(optimizer, 20, 0.01)], [6])


PAIRS = [
    (O.Constant(0.3), lambda o: S.ConstantLR(o, factor=1.0)),
    (O.StepDecay(0.3, every=7, factor=0.5), lambda o: S.StepLR(o, 7, 0.5)),
    (O.Cosine(0.3, steps=STEPS, final=0.02), lambda o: S.CosineAnnealingLR(o, STEPS, 0.02)),
    (O.WarmUp(0.3, steps=9, start=0.25), lambda o: S.LinearLR(o, 0.25, total_iters=9)),
    (O.WarmUp(0.3, 6, 0.25, O.Cosine(0.3, steps=20, final=0.01)), warmed_up),
    (
        O.OneCycle(0.3, steps=STEPS),
        lambda o: S.OneCycleLR(o, 0.3, total_steps=STEPS, cycle_momentum=False),
    ),
    (
        O.OneCycle(0.3, steps=STEPS, rise=0.6, below=10, final_below=100),
        lambda o: S.OneCycleLR(
            o, 0.3, STEPS, pct_start=0.6, div_factor=10, final_div_factor=100, cycle_momentum=False
        ),
    ),
]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_equal_to_torch(ours, theirs):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.3)
    rates = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SequentialLR warns of its own calls
        scheduler = theirs(optimizer)
        steps = 26 if isinstance(ours, O.WarmUp) else STEPS
        for _ in range(steps):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
    found = [ours(step) for step in range(1, steps + 1)]
    np.testing.assert_allclose(found, rates, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("schedule", [case[0] for case in PAIRS])
def test_an_array_of_steps_gives_the_rate_of_each(schedule):
    steps = np.arange(1, 2 * STEPS)
    each = [schedule(int(step)) for step in steps]
    np.testing.assert_allclose(schedule(steps), each, rtol=1e-15)
    np.testing.assert_array_equal(rates_at(schedule, steps), schedule(steps))


@pytest.mark.parametrize("schedule", [O.Cosine(0.3, steps=10), O.OneCycle(0.3, steps=10)])
def test_after_its_last_step_a_schedule_stays(schedule):
    assert schedule(11) == schedule(12) == schedule(1000)


def test_any_function_of_the_step_is_a_schedule():
    np.testing.assert_allclose(rates_at(lambda step: 1 / step, np.arange(1, 4)), [1, 1 / 2, 1 / 3])


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -1.0, "fast", None])
def test_a_rate_that_is_none_names_its_step(wrong):
    with pytest.raises(ConfigError, match="learning rate of step 8"):
        rates_at(lambda step: wrong if step == 8 else 0.1, np.arange(5, 12))


@pytest.mark.parametrize(
    "make",
    [
        lambda: O.Constant(0),
        lambda: O.Cosine(0.1, steps=0),
        lambda: O.Cosine(0.1, steps=10, final=0.2),
        lambda: O.StepDecay(0.1, every=2, factor=2.0),
        lambda: O.WarmUp(0.1, steps=3, start=0),
        lambda: O.WarmUp(0.1, steps=3, then=0.1),
        lambda: O.OneCycle(0.1, steps=3, rise=0.3),
        lambda: O.OneCycle(0.1, steps=30, rise=1.0),
    ],
)
def test_numbers_that_make_no_sense_are_refused(make):
    with pytest.raises(ConfigError):
        make()
