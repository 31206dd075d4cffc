"""Findings one by one: each on a network that has it, and silent on one that has not."""

import signal

import faulty_networks as networks
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import pullback as pb
from pullback.doctor.lesson import Lesson
from pullback.doctor.setup import TrainingSetup, Updates
from pullback.doctor.suspicions.balance import weighted
from pullback.errors import ConfigError


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def diagnosed(module, loss, optimizer, X, Y, batch_size=20, epochs=10, **options):
    return pb.doctor(module, X, Y, loss, optimizer, batch_size, epochs, progress=False, **options)


def said(d, word):
    return [each for each in d.findings if word in each.what]


def small(activation=None, norm=None, d=4, classes=3):
    parts = [nn.Linear(d, 16), norm, activation or nn.ReLU(), nn.Linear(16, classes)]
    return nn.Sequential(*filter(None, parts))


# classes of different size


def rare(n=1500):
    """One of ten samples is of class 1, and none of them is more likely than not."""
    X = torch.randn(n, 3)
    return X, (X[:, 0] + X[:, 1] + 1.5 * torch.randn(n) > 2.7).long()


@pytest.mark.parametrize("binary", [False, True])
def test_a_majority_that_is_the_answer_to_all_is_named(binary):
    X, y = rare()
    module = small(nn.Tanh(), d=3, classes=1 if binary else 2)
    loss = nn.BCEWithLogitsLoss() if binary else nn.CrossEntropyLoss()
    target = y[:, None].float() if binary else y
    sgd = networks.sgd(module, 0.02)
    d = diagnosed(module, loss, sgd, X, target, 50, 8, seconds=1.0)
    (found,) = said(d, "majority")
    assert found is d.findings[0], d.text()
    assert found.where == "loss"
    assert not said(d, "no signal")
    if binary:
        line = "loss = nn.BCEWithLogitsLoss(pos_weight=(Y == 0).sum() / (Y == 1).sum())"
    else:
        line = "loss = nn.CrossEntropyLoss(weight=len(Y) / (Y.max() + 1) / Y.flatten().bincount())"
    assert found.code == line


@pytest.mark.parametrize("binary", [False, True])
def test_classes_count_the_same_under_the_weights(binary):
    Y = (torch.arange(50) % 10 == 0).long()
    z = torch.zeros((50, 1) if binary else (50, 2), requires_grad=True)
    given = nn.BCEWithLogitsLoss() if binary else nn.CrossEntropyLoss()
    name = "binary_cross_entropy_with_logits" if binary else "cross_entropy"
    module = small()
    task = Lesson.of(Y.numpy(), name)
    updates = Updates.of(networks.sgd(module, 0.1))
    setup = TrainingSetup(module, given, updates, torch.zeros(50, 4), Y, 10, 1, task)
    loss, _ = weighted(setup, name, task.counts)
    loss(z, Y[:, None].float() if binary else Y).backward()
    slope = z.grad[:, -1]
    assert float(slope[Y == 1].sum()) == pytest.approx(-float(slope[Y == 0].sum()), rel=1e-5)
    assert getattr(given, "weight", None) is None
    assert getattr(given, "pos_weight", None) is None


def test_uneven_classes_without_a_signal_have_none():
    X, y = rare()
    y = y[torch.randperm(len(y))]
    module = small(d=3, classes=2)
    d = diagnosed(module, nn.CrossEntropyLoss(), networks.sgd(module, 0.02), X, y, 50, 5)
    assert said(d, "no signal"), d.text()
    assert not said(d, "majority")


# the training step


def never_clears(module, optimizer, x, y):
    cross_entropy(module(x), y).backward()
    torch.nn.utils.clip_grad_norm_(module.parameters(), 10.0)
    optimizer.step()


def clears_first(module, optimizer, x, y):
    optimizer.zero_grad()
    never_clears(module, optimizer, x, y)


def clears_last(module, optimizer, x, y):
    never_clears(module, optimizer, x, y)
    optimizer.zero_grad()


class Collects:
    """Steps with the gradients of three batches."""

    def __init__(self):
        self.calls = 0

    def __call__(self, module, optimizer, x, y):
        self.calls += 1
        cross_entropy(module(x), y).backward()
        if self.calls % 3 == 0:
            optimizer.step()
            optimizer.zero_grad()


def stepped(step, rate=0.02):
    X, y = networks.rings()
    module = small(nn.Tanh(), d=2, classes=2)
    optimizer = networks.adam(module, rate)
    before = [p.clone() for p in module.parameters()]
    d = diagnosed(module, nn.CrossEntropyLoss(), optimizer, X, y, epochs=20, step=step)
    assert all(torch.equal(p, q) for p, q in zip(module.parameters(), before, strict=True))
    assert all(p.grad is None for p in module.parameters())
    assert not optimizer.state
    return d


def test_a_step_without_zero_grad_is_named_with_the_score_of_one_that_has_it():
    d = stepped(never_clears)
    first = d.findings[0]
    assert "zero_grad() is missing" in first.what
    assert (first.severity, first.where) == ("error", "optimizer")
    assert first.score > d.score + 0.2


@pytest.mark.parametrize("step", [clears_first, clears_last, Collects()])
def test_a_step_that_clears_is_left_alone(step):
    d = stepped(step)
    assert d.healthy, d.text()
    assert not d.findings


def outside(module, optimizer, x, y):
    pass


def fails(module, optimizer, x, y):
    raise ValueError("no such batch")


@pytest.mark.parametrize(
    ("step", "word"),
    [(outside, "does nothing"), (fails, "no such batch"), (3, "expected a function")],
)
def test_what_is_no_step_is_refused(step, word):
    with pytest.raises(ConfigError, match=word):
        stepped(step)


# the gradient check


class Bent(torch.autograd.Function):
    """tanh, with the sign of its derivative wrong."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.tanh(x)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return -g * (1 - torch.tanh(x) ** 2)


class Right(Bent):
    """tanh, as it is."""

    @staticmethod
    def backward(ctx, g):
        return -Bent.backward(ctx, g)


class Stairs(torch.autograd.Function):
    """The sign, with a slope that is made up."""

    @staticmethod
    def forward(ctx, x):
        return torch.sign(x)

    @staticmethod
    def backward(ctx, g):
        return g


class Calls(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function.apply(x)


def bent(function, epochs=10):
    X, y = networks.rings()
    module = nn.Sequential(
        nn.Linear(2, 16), Calls(function), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 2)
    )
    optimizer = networks.adam(module, 0.02)
    return diagnosed(module, nn.CrossEntropyLoss(), optimizer, X, y, epochs=epochs, seconds=1.0)


def test_a_backward_that_is_not_the_derivative_is_named():
    d = bent(Bent, epochs=2)
    first = d.findings[0]
    assert "gradient is wrong" in first.what
    assert "Bent" in first.what
    assert (first.severity, first.where) == ("error", "1"), d.text()


@pytest.mark.parametrize("function", [Right, Stairs])
def test_a_backward_that_is_right_or_made_up_is_not_named(function):
    d = bent(function, epochs=1)
    assert not d.healthy  # so the check was made
    assert not said(d, "gradient is wrong"), d.text()


# half precision, norms, and the data


def test_gradients_that_underflow_in_float16_are_named():
    X, y = networks.blobs()
    module = small().half()

    def loss(z, y):
        return 1e-7 * cross_entropy(z, y)

    d = diagnosed(module, loss, networks.sgd(module, 1e6), X.half(), y)
    first = d.findings[0]
    assert "underflow" in first.what, d.text()
    assert first.score > 0.8
    repaired = d.apply_(module)
    assert {p.dtype for p in repaired.module.parameters()} == {torch.float32}


def test_remarks_do_not_make_a_training_ill():
    """Dropout before a norm, weight decay on it, and columns that say nothing: it learns."""
    X, y = networks.blobs()
    X = torch.cat([X, X[:, 1:2], torch.ones(len(X), 1)], dim=1)
    norm = nn.Sequential(nn.Dropout(0.1), nn.BatchNorm1d(16))
    module = small(norm=norm, d=6)
    d = diagnosed(
        module, nn.CrossEntropyLoss(), networks.adam(module, 0.02, weight_decay=1e-4), X, y
    )
    assert d.healthy
    notes = {each.where: each.what for each in d.findings if each.severity == "note"}
    assert "dropout stands before a batch norm" in notes["1.0"]
    assert "weight decay pulls the scales and shifts of 1 norm" in notes["1.1"]
    (double,), (still,) = said(d, "repeat others (4)"), said(d, "never change (5)")
    assert double.where == still.where == "data.X"


def test_the_line_for_norms_takes_decay_from_them_alone():
    X, y = networks.blobs()
    module = small(norm=nn.LayerNorm(16))
    adamw = torch.optim.AdamW(module.parameters(), lr=0.02, weight_decay=0.1)
    d = diagnosed(module, nn.CrossEntropyLoss(), adamw, X, y)
    (found,) = said(d, "weight decay pulls the scales")
    assert "p.dim() > 1" in found.code
    assert "torch.optim.AdamW([{'params': matrices}, " in found.code
    matrices = [p for p in module.parameters() if p.dim() > 1]
    rest = [p for p in module.parameters() if p.dim() < 2]
    optimizer = torch.optim.AdamW(
        [{"params": matrices}, {"params": rest, "weight_decay": 0}], lr=0.02, weight_decay=0.1
    )
    again = diagnosed(module, nn.CrossEntropyLoss(), optimizer, X, y)
    assert not said(again, "weight decay pulls the scales")


def test_equal_inputs_with_other_targets_set_a_ceiling():
    X = torch.randn(8, 4).repeat(30, 1)
    y = torch.arange(240) % 8 % 2
    y[torch.randperm(240)[:48]] ^= 1
    module = small(d=4, classes=2)
    d = diagnosed(module, nn.CrossEntropyLoss(), networks.adam(module, 0.02), X, y, epochs=20)
    (noise,) = said(d, "twin with the same inputs")
    assert (noise.severity, noise.where) == ("note", "data.Y")
    assert "no network gets more than 0.8" in noise.what
    assert d.healthy, d.text()


def test_an_interrupt_gives_what_is_known_so_far():
    X, y = networks.blobs()
    module = small()
    calls = []

    def hook(*_):
        calls.append(1)
        if len(calls) == 5:
            signal.raise_signal(signal.SIGINT)

    module.register_forward_hook(hook)
    before = signal.getsignal(signal.SIGINT)
    d = diagnosed(module, nn.CrossEntropyLoss(), networks.adam(module, 1e-5), X, y, epochs=1000)
    assert d.verdict.startswith("Interrupted")
    assert d.trials == 0
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupt_that_is_raised_ends_it_and_leaves_nothing_changed():
    X, y = networks.blobs()
    module = small()
    threads, state = torch.get_num_threads(), torch.get_rng_state()

    def hook(*_):
        raise KeyboardInterrupt

    module.register_forward_hook(hook)
    with pytest.raises(KeyboardInterrupt):
        diagnosed(module, nn.CrossEntropyLoss(), networks.adam(module, 0.02), X, y)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)
