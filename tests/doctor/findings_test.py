"""Findings one by one: each on a network that has it, and silent on one that has not."""

import signal
from pathlib import Path

import faulty_networks as networks
import faulty_variants
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


# on the way back, functions in steps, outputs of several tensors, and sequences


def written(forward, **parts):
    return faulty_variants.Written(forward, **parts)


def test_the_call_that_makes_nan_on_the_way_back_is_named_with_its_line():
    training = faulty_variants.root_of_zero()
    d = pb.doctor(**asked(training), progress=False)
    first = d.findings[0]
    assert "gradient is NaN or infinite behind sqrt" in first.what, d.text()
    lines = Path(faulty_variants.__file__).read_text(encoding="utf-8").splitlines()
    assert "torch.sqrt" in lines[int(first.source.partition(":")[2]) - 1]
    assert first.code == "torch.sqrt(x + 1e-8)"


def test_infinite_slopes_that_no_parameter_gets_are_left_alone():
    """Behind a ReLU that is off: the mask takes them away."""
    X, y = networks.blobs()
    hidden, out = nn.Linear(4, 12), nn.Linear(12, 3)
    module = written(
        lambda m, x: m.out(torch.sqrt(torch.relu(m.hidden(x)))), hidden=hidden, out=out
    )
    d = diagnosed(module, nn.CrossEntropyLoss(), networks.adam(module, 0.02), X, y)
    assert d.healthy, d.text()


def test_a_rounding_is_named_and_passed_by():
    d = pb.doctor(**asked(faulty_variants.rounded()), progress=False)
    first = d.findings[0]
    assert "no gradient passes round" in first.what
    assert first.code == "x + (torch.round(x) - x).detach()"
    assert first.score > 0.9
    assert first.loss < d.loss


def test_samples_with_nan_are_dropped_in_a_trial():
    d = pb.doctor(**asked(networks.not_a_number()), progress=False)
    assert d.findings[0].fix == "drop these samples"
    assert d.findings[0].score > 0.9
    repaired = d.apply_(networks.not_a_number().module)
    assert len(repaired.X) == len(repaired.Y) == 239


def test_a_target_that_is_nan_is_named_and_dropped():
    X = torch.randn(100, 3)
    Y = X[:, :1].clone()
    Y[7] = float("nan")
    module = nn.Linear(3, 1)
    d = diagnosed(module, nn.MSELoss(), networks.adam(module, 0.05), X, Y, epochs=30)
    assert (d.findings[0].where, d.findings[0].fix) == ("data.Y", "drop these samples"), d.text()
    assert d.fixed > 0.9


@pytest.mark.parametrize("own", [False, True])
def test_a_loss_of_many_numbers_is_named(own):
    X, y = networks.blobs()
    module = small()

    def apart(z, y):
        return cross_entropy(z, y, reduction="none")

    loss = apart if own else nn.CrossEntropyLoss(reduction="none")
    d = diagnosed(module, loss, networks.adam(module, 0.02), X, y)
    assert "the loss gives 240 numbers" in d.findings[0].what, d.text()
    assert d.findings[0].code == ("loss(z, y).mean()" if own else 'reduction="mean"')
    assert d.fixed > 0.9


def test_a_tuple_under_a_loss_for_one_tensor_is_named():
    X, y = networks.blobs()
    module = written(lambda m, x: (m.out(x), x), out=small())
    d = diagnosed(module, nn.CrossEntropyLoss(), networks.adam(module, 0.02), X, y)
    assert "gives a tuple" in d.findings[0].what, d.text()
    assert d.fixed > 0.9


def test_a_loss_that_takes_all_outputs_is_taken():
    X, y = networks.blobs()
    module = written(lambda m, x: {"z": m.out(x), "x": x}, out=small())

    def loss(given, y):
        return cross_entropy(given["z"], y)

    d = diagnosed(module, loss, networks.adam(module, 0.02), X, y)
    assert d.healthy, d.text()
    assert any("gives several tensors" in note for note in d.notes)


def test_classes_at_every_step_of_a_sequence_are_learnt():
    X = torch.randint(0, 5, (60, 7))
    module = written(
        lambda m, x: m.out(m.embedded(x)).transpose(1, 2),
        embedded=nn.Embedding(5, 8),
        out=nn.Linear(8, 5),
    )
    d = diagnosed(module, nn.CrossEntropyLoss(), networks.adam(module, 0.05), X, (X + 1) % 5)
    assert d.healthy, d.text()
    assert d.score > 0.9


def test_a_module_that_takes_all_samples_at_once_is_named():
    X, y = networks.blobs()
    near = (torch.cdist(X, X) < 1.5).float()
    module = written(lambda m, x: m.out((near / near.sum(1, keepdim=True)) @ x), out=small())
    d = diagnosed(module, nn.CrossEntropyLoss(), networks.adam(module, 0.02), X, y, epochs=60)
    first = d.findings[0]
    assert "runs on all 240 samples and not on a batch of 20" in first.what, d.text()
    assert first.score > 0.9


def test_a_dropout_of_nothing_between_two_layers_ends():
    X, y = networks.blobs()
    module = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.0), nn.Linear(8, 3))
    d = diagnosed(module, nn.CrossEntropyLoss(), networks.adam(module, 0.05), X, y)
    assert d.healthy


def test_a_loss_that_has_the_module_from_elsewhere_leaves_no_gradient_there():
    X, y = networks.blobs()
    module = small()

    def loss(z, y):
        return cross_entropy(z, y) + 1e-3 * sum(p.square().sum() for p in module.parameters())

    d = diagnosed(module, loss, networks.adam(module, 0.02), X, y)
    assert all(p.grad is None for p in module.parameters())
    assert any("uses the module's own parameters" in note for note in d.notes)


@pytest.mark.parametrize(
    "wrap", [nn.utils.weight_norm, nn.utils.spectral_norm, nn.utils.parametrizations.weight_norm]
)
def test_reparametrised_layers_are_taken(wrap):
    X, y = networks.blobs()
    module = nn.Sequential(wrap(nn.Linear(4, 16)), nn.ReLU(), nn.Linear(16, 3))
    module(X)  # so that a weight that is computed hangs on its parameters
    d = diagnosed(module, nn.CrossEntropyLoss(), networks.adam(module, 0.02), X, y)
    assert d.healthy, d.text()


def test_what_does_not_learn_and_has_no_finding_is_not_healthy():
    X, y = networks.blobs()
    module = small()
    d = diagnosed(module, nn.CrossEntropyLoss(), networks.adam(module, 1e-9), X, y, seconds=1e-6)
    assert not d.healthy
    assert d.to_dict()["healthy"] is False


def test_targets_between_0_and_1_are_compared_with_what_the_logits_stand_for():
    d = pb.doctor(**asked(faulty_variants.smoothed_labels()), progress=False)
    assert d.healthy
    assert d.score > 0.9


def test_the_line_of_the_optimiser_is_that_where_it_is_made():
    X, y = networks.blobs(classes=6)
    module = small(classes=6)
    slow = networks.sgd(module, 1e-5)
    d = diagnosed_here(module, slow, X, y)
    found = next(each for each in d.findings if each.where == "optimizer")
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    assert "slow = networks.sgd" in lines[int(found.source.partition(":")[2]) - 1]


def diagnosed_here(module, optimizer, X, y):
    return pb.doctor(module, X, y, nn.CrossEntropyLoss(), optimizer, 20, 10, progress=False)


def asked(training):
    given = dict(vars(training))
    return {"module_or_net": given.pop("module"), **given}
