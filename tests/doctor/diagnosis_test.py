"""The doctor on networks that do not learn, and on some that do."""

import copy
import json
from pathlib import Path

import faulty_networks
import numpy as np
import pytest
import torch
from torch import nn

import pullback as pb
from pullback.doctor.finding import LOUD
from pullback.errors import ConfigError, DataError, ShapeError


def made(make):
    torch.manual_seed(0)
    return make()


def asked(training, **options):
    given = dict(vars(training))
    return pb.doctor(given.pop("module"), **given, progress=False, **options)


@pytest.mark.parametrize("case", faulty_networks.FAULTY, ids=lambda case: case.make.__name__)
def test_the_fault_is_named_first_with_its_place(case):
    training = made(case.make)
    before = copy.deepcopy(training.module.state_dict())
    d = asked(training)
    first = d.findings[0]
    assert first.severity == "error", d.text()
    assert case.word in first.what, d.text()
    places = first.where.replace(",", " ").split()
    assert case.where in places, d.text()
    assert not d.healthy
    assert first.what in d.verdict
    after = training.module.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("make", faulty_networks.HEALTHY, ids=lambda make: make.__name__)
def test_what_learns_is_left_alone(make):
    d = asked(made(make))
    assert d.healthy, d.text()
    assert d.verdict.startswith("It learns")
    assert not [each for each in d.findings if each.severity in LOUD]


@pytest.mark.parametrize("name", ["relu_at_the_end", "unscaled", "linear_xor", "zero_weights"])
def test_a_repaired_training_learns(name):
    """The fixes, applied to the caller's own module, and trained with torch's own loop."""
    training = made(getattr(faulty_networks, name))
    d = asked(training)
    assert d.fixed is not None
    repaired = d.apply_(training.module)
    torch.manual_seed(1)
    for _ in range(repaired.epochs):
        for rows in torch.randperm(len(repaired.X)).split(repaired.batch_size):
            repaired.optimizer.zero_grad()
            repaired.loss(repaired.module(repaired.X[rows]), repaired.Y[rows]).backward()
            repaired.optimizer.step()
    again = pb.doctor(
        repaired.module, repaired.X, repaired.Y, repaired.loss, repaired.optimizer,
        repaired.batch_size, 1, progress=False,
    )  # fmt: skip
    assert again.score > 0.9 * d.fixed, (d.text(), again.text())


def test_equal_seeds_say_the_same():
    texts = {asked(made(faulty_networks.unscaled)).text() for _ in range(2)}
    assert len(texts) == 1


def test_a_score_is_that_of_a_training_and_not_a_promise():
    d = asked(made(faulty_networks.softmax_twice))
    assert d.findings[0].score is not None
    assert d.score < d.findings[0].score <= 1
    assert d.trials >= 1


def test_the_random_state_of_the_caller_stays():
    training = made(faulty_networks.dropped)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    asked(training)
    assert torch.equal(torch.rand(3), expected)


def test_a_diagnosis_is_text_html_and_plain_data():
    d = asked(made(faulty_networks.bounded))
    assert d.verdict in d.text()
    assert d._repr_html_().startswith("<p><strong>")
    plain = json.loads(json.dumps(d.to_dict()))
    assert plain["findings"][0]["where"] == "3"
    assert plain["healthy"] is False


def test_a_line_of_code_is_named():
    d = asked(made(faulty_networks.listed))
    lines = Path(faulty_networks.__file__).read_text(encoding="utf-8").splitlines()
    file, _, line = d.findings[0].source.partition(":")
    assert file == "faulty_networks.py"
    assert "self.hidden" in lines[int(line) - 1]


def test_a_call_inside_of_forward_is_replaced():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(4, 16), nn.Linear(16, 6)

        def forward(self, x):
            return torch.softmax(self.two(torch.relu(self.one(x))), dim=1)

    torch.manual_seed(0)
    X, y = faulty_networks.blobs(classes=6)
    module = Net()
    sgd = torch.optim.SGD(module.parameters(), lr=0.1)
    d = pb.doctor(module, X, y, nn.CrossEntropyLoss(), sgd, 20, 5, progress=False)
    assert "softmax" in d.findings[0].what
    assert d.findings[0].where == "model"
    assert d.fixed > 0.8


def test_arrays_and_networks_of_ours_are_taken():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 3))
    y = (X[:, 0] > 0).astype(int)
    net = pb.Network(
        pb.Sequential(pb.Linear(3, 8), pb.ReLU(), pb.Linear(8, 2)), loss=pb.CrossEntropy()
    )
    d = pb.doctor(net, X, y, progress=False)
    assert d.healthy
    assert any("Adam" in note for note in d.notes)


def test_what_cannot_be_trained_says_what_torch_says():
    X, y = torch.randn(40, 3), torch.arange(40) % 2
    module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    d = pb.doctor(module, X, y, nn.CrossEntropyLoss(), progress=False)
    assert not d.healthy
    assert "mat1 and mat2 shapes cannot be multiplied" in d.verdict


def test_an_optimiser_of_other_parameters_is_a_finding():
    training = made(faulty_networks.plain)
    other = nn.Linear(2, 2)
    training.optimizer = torch.optim.SGD(other.parameters(), lr=0.1)
    d = asked(training)
    assert "none of the module's parameters" in d.findings[0].what


def test_one_sample_is_said():
    module = nn.Linear(2, 1)
    d = pb.doctor(module, torch.ones(1, 2), torch.ones(1, 1), nn.MSELoss(), progress=False)
    assert any("one sample" in note for note in d.notes)


def test_a_class_of_which_there_is_no_sample_is_no_fault():
    training = made(faulty_networks.plain)
    kept = training.Y != 1  # classes 0 and 2 of three
    training.X, training.Y = training.X[kept], training.Y[kept]
    d = asked(training)
    assert d.healthy, d.text()
    assert d.score > 0.9


@pytest.mark.parametrize("classes", [False, True])
def test_one_sample_is_learnt_by_heart(classes):
    torch.manual_seed(0)
    module = nn.Linear(2, 3)
    loss, Y = nn.MSELoss(), torch.full((1, 3), 5.0)
    if classes:
        loss, Y = nn.CrossEntropyLoss(), torch.tensor([1])
    sgd = torch.optim.SGD(module.parameters(), lr=0.1)
    d = pb.doctor(module, torch.ones(1, 2), Y, loss, sgd, 1, 100, progress=False)
    assert d.healthy, d.text()
    assert d.score > 0.99


@pytest.mark.parametrize(
    ("options", "fault", "word"),
    [
        ({"module_or_net": nn.ReLU()}, ConfigError, "no parameters"),
        ({"module_or_net": "net"}, ConfigError, "expected a torch.nn.Module"),
        ({"Y": torch.zeros(3)}, ShapeError, "40 samples and Y has 3"),
        ({"X": torch.zeros(0, 3), "Y": torch.zeros(0)}, DataError, "empty"),
        ({"X": [["a"]]}, ConfigError, "array or a tensor"),
        ({"loss": "mse"}, ConfigError, "expected one of torch's"),
        ({"loss": nn.MSELoss}, ConfigError, r"MSELoss\(\)"),
        ({"module_or_net": nn.LazyLinear(1)}, ConfigError, "run it once on a few samples"),
        ({"optimizer": "adam"}, ConfigError, "expected one of torch.optim"),
        ({"batch_size": 0}, ConfigError, "batch_size"),
        ({"epochs": -1}, ConfigError, "epochs"),
        ({"seconds": 0}, ConfigError, "seconds"),
    ],
)
def test_bad_input_is_refused_by_name(options, fault, word):
    given = {"module_or_net": nn.Linear(3, 1), "X": torch.zeros(40, 3), "Y": torch.zeros(40, 1)}
    with pytest.raises(fault, match=word):
        pb.doctor(**{**given, **options}, progress=False)
