"""Narrow networks and shared weights: a limit says how far it may be off, or is none."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch import nn

import pullback as pb

METHODS = "independence", "monte_carlo"
rng = np.random.default_rng(0)
PIXELS, CLASSES = rng.normal(size=(12, 3, 6, 6)), np.arange(12) % 10


def of_width(channels):
    blocks = [pb.Conv2d(3, channels, 3, padding=1), pb.ReLU()]
    for _ in range(2):
        blocks += [pb.Conv2d(channels, channels, 1), pb.ReLU()]
    net = pb.Network(
        pb.Sequential(*blocks, pb.Flatten(), pb.Linear(36 * channels, 10)),
        pb.CrossEntropy(),
        x="channels=3 height=6 width=6",
    )
    return pb.forecast(net, PIXELS, CLASSES, pb.init.he(), METHODS, draws=150, progress=False)


def said(value):
    found = re.search(r"at this width \((\d+) units\) expect RMS δ within (\d+)%", value.assumption)
    return None if found is None else (int(found[1]), int(found[2]) / 100)


def test_a_narrow_limit_says_how_far_it_may_be_off():
    f = of_width(3)
    for layer in f.layers[:-1]:
        law, drawn = (np.sqrt(float(layer.delta_ms[m])) for m in METHODS)
        width, within = said(layer.delta_ms["independence"])
        assert width == 3
        assert abs(law / drawn - 1) < within < 2


def test_a_wide_one_says_nothing():
    f = of_width(128)
    assert not any(said(layer.delta_ms["independence"]) for layer in f.layers)
    for layer in f.layers:
        law, drawn = (np.sqrt(float(layer.delta_ms[m])) for m in METHODS)
        assert law == pytest.approx(drawn, rel=0.15)


class Shared(nn.Module):
    """The same layer several times, behind a skip or not."""

    def __init__(self, width, times, skip):
        super().__init__()
        self.read, self.inner = nn.Linear(6, width), nn.Linear(width, width)
        self.out, self.times, self.skip = nn.Linear(width, 3), times, skip

    def forward(self, x):
        h = self.read(x)
        for _ in range(self.times):
            h = self.skip * h + torch.tanh(self.inner(h))
        return self.out(h)


def shared(width, times, skip):
    torch.manual_seed(0)
    X, Y = rng.normal(size=(12, 6)), np.arange(12) % 3
    module = Shared(width, times, skip).double()
    return pb.forecast(module, X, Y, methods=("independence",), progress=False)


def test_weights_that_are_shared_without_a_skip_are_as_good_as_new_in_wide_layers():
    f = shared(64, 3, 0)
    assert f.theory.why_not is None
    for layer in f.layers:
        law = np.sqrt(float(layer.delta_ms["independence"]))
        assert law == pytest.approx(float(layer.rms_measured), rel=0.25)


@pytest.mark.parametrize(
    ("width", "times", "skip", "why"),
    [
        (64, 3, 1, "use inner.weight equally often and add up"),
        (8, 6, 0, "inner.weight is used 6 times in turn at a width of 8"),
    ],
)
def test_others_are_measured(width, times, skip, why):
    f = shared(width, times, skip)
    assert why in " ".join(f.assumptions)
    assert {layer.best.kind for layer in f.layers} == {"measured"}


class Equilibrium(nn.Module):
    """z ← tanh(W z + U x), written out for some turns (Bai et al. 2019)."""

    def __init__(self, width, turns):
        super().__init__()
        self.inject, self.inner = nn.Linear(6, width), nn.Linear(width, width)
        self.out, self.turns = nn.Linear(width, 3), turns

    def forward(self, x):
        u = self.inject(x)
        z = torch.tanh(u)
        for _ in range(self.turns):
            z = torch.tanh(self.inner(z) + u)
        return self.out(z)


def test_an_equilibrium_block_is_by_law_up_to_the_root_of_its_width():
    """8 turns of 128 units: 8² is below 128, and no two ways use a weight equally often."""
    torch.manual_seed(0)
    X, Y = rng.normal(size=(12, 6)), np.arange(12) % 3
    module = Equilibrium(128, 8).double()
    f = pb.forecast(module, X, Y, methods=METHODS, draws=60, progress=False)
    assert f.theory.why_not is None
    for layer in f.layers:
        assert layer.best.kind in ("limit", "approximation")
        law, drawn = (np.sqrt(float(layer.delta_ms[m])) for m in METHODS)
        assert law == pytest.approx(drawn, rel=0.15), layer.name
