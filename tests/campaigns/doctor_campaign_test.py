"""The doctor on variants of its own: a true fault first, its place, fixes that learn, no alarms."""

import re

import pytest
import torch
from faulty_variants import LOOKS_ODD, VARIANTS
from torch_training import trained

import pullback as pb
from pullback.doctor.finding import LOUD

FEW_FAULTY = ("softmax_in_the_code", "rounded", "another_head", "slow_descent")
FEW_ODD = ("full_batch_lbfgs", "an_unused_head", "logits_within_one")


@pytest.fixture
def long(request):
    return request.config.getoption("--campaign") == "long"


def named(makes, few, long):
    return [each for each in makes if long or getattr(each, "make", each).__name__ in few]


def diagnosed(make, seed):
    torch.manual_seed(seed)
    given = dict(vars(make()))
    return pb.doctor(given.pop("module"), **given, progress=False)


def repaired(make, seed, diagnosis):
    """What torch's own training comes to with the fixes, applied to the same module."""
    torch.manual_seed(seed)
    return trained(diagnosis.apply_(make().module))


def test_a_true_fault_is_first_and_its_fix_learns(long):
    runs = [
        (case, seed)
        for case in named(VARIANTS, FEW_FAULTY, long)
        for seed in range(3 if long else 1)
    ]
    first, place, learnt, able, missed = 0, 0, 0, 0, []
    for case, seed in runs:
        d = diagnosed(case.make, seed)
        loud = [each for each in d.findings if each.severity in LOUD]
        right = bool(loud) and re.search(case.says, loud[0].what) is not None
        where = {each for found in loud[:3] for each in found.where.split(", ")}
        score = repaired(case.make, seed, d) if case.learns is not None else None
        first, place = first + right, place + bool(where & set(case.where))
        if score is not None:
            able, learnt = able + 1, learnt + (score >= case.learns)
        if not right or (score is not None and score < case.learns):
            missed.append(f"{case.make.__name__}, seed {seed}: {d.verdict} Repaired: {score}")
    n = len(runs)
    print(f"{n} runs: first {first / n:.2f}, place {place / n:.2f}, fixed {learnt}/{able}")
    print(*missed, sep="\n")
    assert first >= 0.8 * n, missed
    assert place >= 0.8 * n, missed
    assert learnt >= 0.75 * able, missed


def test_what_only_looks_odd_is_left_alone(long):
    alarms = []
    for make in named(LOOKS_ODD, FEW_ODD, long):
        for seed in range(3 if long else 1):
            d = diagnosed(make, seed)
            if not d.healthy:
                alarms.append(f"{make.__name__}, seed {seed}: {d.verdict}")
    print(*alarms, sep="\n")
    assert len(alarms) <= (3 if long else 0), alarms
