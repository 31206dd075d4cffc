"""A training that diverged: its page says so at the top, and nothing on it says the opposite."""

import re
from dataclasses import replace

import numpy as np
import pytest

import pullback as pb
from pullback.report.page import render
from pullback.report.sections.story import TrainingPlan, gather
from pullback.report.words.verdicts import headline

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(120, 6)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 1)
OPPOSITES = (
    "Every layer learns",
    "a gradient is wrong",
    "while the network learnt",
    "Keep this initialisation",
    "The loss fell",
    "was still falling",
)


def page(activation, rate, epochs=4):
    model = pb.Sequential(pb.Linear(6, 8), activation, pb.Linear(8, 3))
    net = pb.Network(model, loss=pb.CrossEntropy())
    plan = TrainingPlan(epochs, pb.optim.SGD(rate, momentum=0.9), 16, None, 0, False)
    story = gather(net, X, Y, plan)
    return story, render(story, "A page")


@pytest.mark.parametrize("activation", [pb.Tanh(), pb.ReLU(), pb.Sigmoid()])
@pytest.mark.parametrize("rate", [30.0, 1e9])
def test_it_is_said_once_and_not_denied(activation, rate, recwarn):
    story, text = page(activation, rate)
    assert story.diverged is not None
    shown = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert shown.count("Training diverged: ") >= 1
    assert "the learning rate is " in shown
    assert [each for each in OPPOSITES if each in shown] == []
    assert "every gradient is right" in shown
    assert not recwarn


def test_one_that_learns_is_checked_at_both_ends():
    story, text = page(pb.Tanh(), 0.1, epochs=20)
    assert story.diverged is None
    assert "diverged" not in re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert "gradients are right, at the start and at the end" in text
    assert "One seed, 0, measured on the same samples, is " in text
    assert story.gradient_before.ok
    assert story.gradient_before is not story.gradient


def test_a_gradient_that_is_wrong_is_still_called_wrong():
    story, _ = page(pb.Tanh(), 0.1, epochs=1)
    wrong = pb.laws.gradient_check(
        lambda p: float(np.sum(p["w"] ** 3)), {"w": np.array([3.0, 13.0])}, {"w": [1.0, 2.0]}
    )
    for part in ("gradient", "gradient_before"):
        assert "but a gradient is wrong" in headline(replace(story, **{part: wrong}))
