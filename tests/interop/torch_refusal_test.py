"""What cannot be read is named with its place; nothing is left out in silence."""

import re

import numpy as np
import pytest
import torch
import torch_modules
from torch import nn
from torch.nn import functional as F
from torch_modules import Forward

import pullback as pb


def sequential(*parts):
    return nn.Sequential(nn.Linear(4, 4), *parts)


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        return self.fc(x) if x.sum() > 0 else x


class BatchDependent(Branching):
    def forward(self, x):
        return self.fc(x * 2 if x.shape[0] == 2 else x)


class Own(nn.Module):
    """Parameters that are no Linear's."""

    def __init__(self, how):
        super().__init__()
        self.fc = nn.Linear(4, 3)
        self.w, self.scale = nn.Parameter(torch.ones(3, 4)), nn.Parameter(torch.ones(3))
        self.register_buffer("mean", torch.ones(4))
        self.how = how

    def forward(self, x):
        return self.how(self, x)


class Beside(nn.Module):
    """Two layers side by side."""

    def __init__(self, join=torch.add):
        super().__init__()
        self.a, self.b, self.join = nn.Linear(4, 4), nn.Linear(4, 4), join

    def forward(self, x):
        return self.join(self.a(x), self.b(x))


class TwoInputs(Branching):
    def forward(self, x, y):
        return self.fc(x) + y


def tied():
    module = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
    module[2].weight = module[0].weight
    return module


def same_twice():
    layer = nn.Linear(4, 4)
    return nn.Sequential(layer, nn.Tanh(), layer)


def hooked():
    module = sequential(nn.Tanh())
    module[1].register_forward_hook(lambda part, into, out: 2 * out)
    return module


def orthogonal():
    return nn.Sequential(nn.utils.parametrizations.orthogonal(nn.Linear(4, 4)))


def on_meta():
    with torch.device("meta"):
        return nn.Sequential(nn.Linear(4, 3))


def uncounted():
    module = Forward(lambda m, x: m.head(F.batch_norm(m.fc1(x), m.mean, m.var, training=True)))
    module.register_buffer("mean", torch.zeros(5))
    module.register_buffer("var", torch.ones(5))
    return module


REFUSED = {
    "a layer": (lambda: nn.Sequential(nn.FractionalMaxPool2d(2, 1)),
                "FractionalMaxPool2d at '0' has no counterpart"),
    "no channels": (lambda: nn.Sequential(nn.Conv1d(3, 3, 1)), "Conv1d at '0': it reads 2 axes"),
    "a function": (
        lambda: Forward(lambda m, x: torch.cummax(m.fc1(x), 1)[0]),
        r"cummax at node 'cummax', \S+torch_refusal_test\.py:\d+: it has no counterpart",
    ),
    "F.dropout": (lambda: Forward(lambda m, x: F.dropout(m.fc1(x))).eval(),
                  r"it draws at random \(dropout in evaluation too"),
    "a hook that changes": (hooked, "differ on .*Tanh at '1' has a hook that may change"),
    "orthogonal weights": (orthogonal, "of module '0.parametrizations.weight.0'.* no counterpart"),
    "no values": (on_meta, r"0\.weight has no values yet"),
    "data decide": (Branching, r"Branching decides by the values of its data, "
                               r"\S+torch_refusal_test\.py:\d+"),
    "the batch decides": (BatchDependent, "forward of BatchDependent depends on the batch's size"),
    "another shape": (lambda: Forward(lambda m, x: m.fc1(x).reshape(-1, 1)),
                      "the model's output has no batch in front"),
    "samples cut": (lambda: Forward(lambda m, x: m.fc1(x).reshape(5, -1)),
                    "reshape at node 'reshape'.* mixes samples|makes the shape"),
    "unequal widths": (lambda: nn.Sequential(nn.Linear(4, 3), nn.Linear(2, 1)),
                       "the module's widths do not meet"),
    "broadcast": (lambda: Own(lambda m, x: x + m.fc(x)), "joins values of 3 and 4 units"),
    "softplus of another threshold": (lambda: sequential(nn.Softplus(threshold=1.0)),
                                      "Softplus at '1': softplus with threshold=1.0"),
    "two inputs": (TwoInputs, r"the module takes 2 inputs: x, y; give example=\(x, y\)"),
    "a shorter state": (lambda: nn.Sequential(nn.LSTM(4, 3, proj_size=2)),
                        "LSTM at '0'.*(proj_size|one sequence alone)"),
    "a table": (lambda: sequential(nn.Embedding(4, 3)), "Embedding at '1': it looks up numbers"),
    "statistics that nobody counts": (
        uncounted,
        "it updates statistics that no BatchNorm counts",
    ),
    "over the batch": (lambda: Forward(lambda m, x: m.fc1(x).softmax(0)), "is over axis 0"),
    "a shift along the batch": (lambda: Forward(lambda m, x: m.fc1(x)[1:]), "along the batch"),
    "the batch as features": (lambda: Forward(lambda m, x: m.fc1(x).T), "no batch in front"),
    "no such output": (lambda: Forward(lambda m, x: (m.fc1(x), "text")[1]), "else than tensors"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_read_is_named(name):
    make, words = REFUSED[name]
    module = make()
    if "training" not in name:
        module.eval()
    with pytest.raises(pb.errors.ConversionError) as caught:
        pb.from_torch(module, nn.MSELoss(), example=np.ones((1, 4)))
    assert re.search(words, str(caught.value)), caught.value


def test_a_model_that_does_something_else_is_found_on_the_example():
    """What a module does while it is traced is not what it does on data: the outputs differ."""

    def sly(module, x):
        h = module.fc1(x)
        return module.head(h if isinstance(x, torch.fx.Proxy) else 1.001 * h)

    X = np.random.default_rng(0).normal(size=(2, 4))
    with pytest.raises(pb.errors.ConversionError, match="differ on the example"):
        pb.from_torch(Forward(sly).double(), nn.MSELoss(), example=X)


def test_an_example_that_does_not_fit():
    with pytest.raises(pb.errors.ConversionError, match="cannot run the example"):
        pb.from_torch(torch_modules.made("names"), nn.MSELoss(), example=np.ones((1, 9)))


def test_without_an_example_one_is_asked_for():
    class Images(nn.Module):
        def forward(self, x):
            assert x.shape[1] == 3
            return x.flatten(1)

    with pytest.raises(pb.errors.ConversionError, match=r"give an example, .*example=X"):
        pb.from_torch(Images(), nn.MSELoss())


def test_what_is_no_module():
    with pytest.raises(pb.errors.ConfigError, match=r"module is 3; expected a torch\.nn\.Module"):
        pb.from_torch(3, nn.MSELoss())
