"""Networks that do not learn, as people asked about them, rebuilt small; and some that do.

Sources: Stack Overflow questions (SO), collected by DeepLocalize (Wardat et al., ICSE 2021) and
DeepFD (Cao et al., ICSE 2022), the PyTorch forum, and slips that are common in torch. Of each only
the facts are taken: the architecture, the loss, the optimiser, and what is wrong.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import Linear, ReLU, Sequential, Sigmoid, Softmax, Tanh


@dataclass
class Training:
    """What ``pb.doctor`` is given."""

    module: Any
    loss: Any
    optimizer: Any
    X: Any
    Y: Any
    batch_size: int
    epochs: int


@dataclass(frozen=True)
class Faulty:
    """A case: its place, a word of the finding, and how to make it."""

    source: str
    where: str
    word: str
    make: Callable[[], Training]


FAULTY: list[Faulty] = []
HEALTHY: list[Callable[[], Training]] = []


def faulty(source: str, where: str, word: str):
    def keep(make):
        FAULTY.append(Faulty(source, where, word, make))
        return make

    return keep


def healthy(make):
    HEALTHY.append(make)
    return make


def sgd(module, rate, **options):
    return torch.optim.SGD(module.parameters(), lr=rate, **options)


def adam(module, rate, **options):
    return torch.optim.Adam(module.parameters(), lr=rate, **options)


def blobs(n=240, d=4, classes=3):
    y = torch.arange(n) % classes
    return 3 * torch.randn(classes, d)[y] + torch.randn(n, d), y


def rings(n=240):
    y = torch.arange(n) % 2
    angle, radius = 6.2832 * torch.rand(n), 1 - 0.5 * y + 0.05 * torch.randn(n)
    return torch.stack([radius * angle.cos(), radius * angle.sin()], 1), y


@faulty("PyTorch forum 43814: softmax before CrossEntropyLoss", "3", "expects logits")
def softmax_twice():
    X, y = blobs(classes=6)
    net = Sequential(Linear(4, 16), ReLU(), Linear(16, 6), Softmax(dim=1))
    return Training(net, nn.CrossEntropyLoss(), sgd(net, 0.1), X, y, 20, 5)


@faulty("SO 31880720: softmax over one unit", "3", "one single unit")
def softmax_over_one():
    X, y = blobs(classes=2)
    net = Sequential(Linear(4, 16), ReLU(), Linear(16, 1), Softmax(dim=1))
    return Training(net, nn.BCELoss(), adam(net, 0.01), X, y[:, None].float(), 20, 5)


@faulty("SO 48251943: ReLU after the last layer, targets of both signs", "3", "negative")
def relu_at_the_end():
    X = torch.randn(200, 2)
    Y = torch.tanh(X[:, :1] - X[:, 1:])
    net = Sequential(Linear(2, 16), ReLU(), Linear(16, 1), ReLU())
    return Training(net, nn.MSELoss(), sgd(net, 0.1), X, Y, 10, 20)


@faulty("SO 48221692: sigmoid on the output, targets up to 100", "3", "outside")
def bounded():
    X = torch.rand(200, 1)
    net = Sequential(Linear(1, 5), Sigmoid(), Linear(5, 1), Sigmoid())
    return Training(net, nn.MSELoss(), sgd(net, 0.01), X, 100 * X, 20, 50)


@faulty("SO 50079585: a binary loss on classes 0, 1, 2", "2", "3 classes")
def binary_on_three():
    X, y = blobs()
    net = Sequential(Linear(4, 16), ReLU(), Linear(16, 1))
    return Training(net, nn.BCEWithLogitsLoss(), adam(net, 0.02), X, y[:, None].float(), 20, 10)


@faulty("torch: NLLLoss on raw outputs", "2", "log-probabilities")
def raw_into_nll():
    X, y = blobs()
    net = Sequential(Linear(4, 16), ReLU(), Linear(16, 3))
    return Training(net, nn.NLLLoss(), adam(net, 0.02), X, y, 20, 10)


@faulty("SO 59325381: labels divided by 255 with the images", "data.Y", "constant")
def labels_rounded_away():
    X, y = blobs()
    net = Sequential(Linear(4, 16), ReLU(), Linear(16, 3))
    return Training(net, nn.CrossEntropyLoss(), adam(net, 0.02), X, (y / 255).long(), 20, 5)


@faulty("torch: targets (N,) against outputs (N, 1)", "data.Y", "broadcast")
def broadcast():
    X = torch.randn(200, 3)
    net = Sequential(Linear(3, 16), ReLU(), Linear(16, 1))
    return Training(net, nn.MSELoss(), adam(net, 0.02), X, X[:, 0] - X[:, 1], 20, 15)


@faulty("SO 47724077: a column near 2e5 beside columns near 1", "data.X", "not standardised")
def unscaled():
    X = torch.randn(300, 6)
    y = (X[:, :4].sum(1) > 0).long()
    X[:, 5] = 1.9e5 + 1e5 * X[:, 5]
    net = Sequential(Linear(6, 16), ReLU(), Linear(16, 2))
    return Training(net, nn.CrossEntropyLoss(), adam(net, 0.005), X, y, 20, 10)


@faulty("AutoTrainer's dying ReLU: biases start at -20", "0", "dead")
def dead():
    X, y = blobs()
    net = Sequential(Linear(4, 16), ReLU(), Linear(16, 16), ReLU(), Linear(16, 3))
    net[0].bias.data.fill_(-50.0)
    return Training(net, nn.CrossEntropyLoss(), adam(net, 0.01), X, y, 20, 10)


@faulty("NeuraLint's rule of asymmetric initial weights: all are zero", "0", "copies")
def zero_weights():
    X, y = rings()
    net = Sequential(Linear(2, 16), Tanh(), Linear(16, 2))
    for p in net.parameters():
        p.data.zero_()
    return Training(net, nn.CrossEntropyLoss(), adam(net, 0.03), X, y, 20, 15)


@faulty("PyTorch forum 13287: XOR with nothing between two layers", "0", "linear map")
def linear_xor():
    X = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]).repeat(8, 1)
    Y = (X[:, :1] != X[:, 1:]).float()
    net = Sequential(Linear(2, 8), Linear(8, 1), Sigmoid())
    return Training(net, nn.BCELoss(), adam(net, 0.03), X, Y, 8, 60)


class Listed(nn.Module):
    """Hidden layers in a plain list, which torch does not register."""

    def __init__(self):
        super().__init__()
        self.hidden = [Linear(2, 24), Linear(24, 24)]
        self.out = Linear(24, 2)

    def forward(self, x):
        for layer in self.hidden:
            x = torch.sigmoid(layer(x))
        return self.out(x)


@faulty("torch: layers in a Python list", "hidden", "plain list")
def listed():
    X, y = rings()
    net = Listed()
    return Training(net, nn.CrossEntropyLoss(), adam(net, 0.02), X, y, 20, 10)


@faulty("torch: Adam with a weight_decay that was meant for AdamW", "optimizer", "weight decay")
def decayed():
    X, y = blobs(classes=6)
    net = Sequential(Linear(4, 24), ReLU(), Linear(24, 24), ReLU(), Linear(24, 6))
    return Training(net, nn.CrossEntropyLoss(), adam(net, 0.01, weight_decay=3.0), X, y, 20, 10)


@faulty("torch: inputs and labels shuffled apart", "data", "no signal")
def shuffled_apart():
    X, y = blobs(400, classes=4)
    net = Sequential(Linear(4, 16), ReLU(), Linear(16, 4))
    y = y[torch.randperm(len(y))]
    return Training(net, nn.CrossEntropyLoss(), adam(net, 0.01), X, y, 20, 5)


@faulty("SO 51181393: Celsius to Fahrenheit, rate 0.001", "optimizer", "too low")
def slow():
    X = torch.tensor([-40.0, -10.0, 0.0, 8.0, 15.0, 22.0, 38.0])[:, None]
    net = Linear(1, 1)
    rule = torch.optim.RMSprop(net.parameters(), lr=0.001, alpha=0.9)
    return Training(net, nn.MSELoss(), rule, X, 1.8 * X + 32, 7, 300)


@faulty("SO 48934338: a parabola, SGD with rate 0.1", "optimizer", "too high")
def fast():
    X = torch.arange(0, 5, 0.1)[:, None]
    net = Sequential(Linear(1, 30), ReLU(), Linear(30, 1))
    return Training(net, nn.MSELoss(), sgd(net, 0.1), X, 5 * X**2, 10, 100)


@faulty("GitHub hotdog-sandwich: dropout of .8 behind every layer", "1", "dropout")
def dropped():
    X, y = blobs(classes=6)
    net = Sequential(
        Linear(4, 32), nn.Dropout(0.9), ReLU(), Linear(32, 32), nn.Dropout(0.9), ReLU(),
        Linear(32, 6),
    )  # fmt: skip
    return Training(net, nn.CrossEntropyLoss(), adam(net, 0.01), X, y, 20, 10)


@faulty("torch: class numbers that start at 1", "data.Y", "encoding")
def counted_from_one():
    X, y = blobs()
    net = Sequential(Linear(4, 16), ReLU(), Linear(16, 3))
    return Training(net, nn.CrossEntropyLoss(), adam(net, 0.02), X, y + 1, 20, 10)


class Detached(nn.Module):
    """The graph is cut behind the hidden layer."""

    def __init__(self):
        super().__init__()
        self.hidden, self.out = Linear(2, 2), Linear(2, 2)

    def forward(self, x):
        return self.out(torch.tanh(self.hidden(x)).detach())


@faulty("torch: detach() on the way", "hidden", "detached")
def detached():
    X, y = rings()
    net = Detached()
    return Training(net, nn.CrossEntropyLoss(), adam(net, 0.02), X, y, 20, 10)


@faulty("torch: batch norm with batches of 1", "batch_size", "batch norm")
def norm_of_one():
    X, y = blobs()
    net = Sequential(Linear(4, 16), nn.BatchNorm1d(16), ReLU(), Linear(16, 3))
    return Training(net, nn.CrossEntropyLoss(), adam(net, 0.02), X, y, 1, 2)


@faulty("torch: NaN in the data", "data.X", "NaN")
def not_a_number():
    X, y = blobs()
    X[7, 2] = float("nan")
    net = Sequential(Linear(4, 16), ReLU(), Linear(16, 3))
    return Training(net, nn.CrossEntropyLoss(), adam(net, 0.02), X, y, 20, 2)


class Logarithm(nn.Module):
    """A logarithm of what may be negative."""

    def __init__(self):
        super().__init__()
        self.one, self.two = Linear(4, 16), Linear(16, 3)

    def forward(self, x):
        return self.two(torch.log(self.one(x)))


@faulty("torch: NaN at a logarithm", "model", "log is the first call")
def logarithm():
    X, y = blobs()
    net = Logarithm()
    return Training(net, nn.CrossEntropyLoss(), adam(net, 0.02), X, y, 20, 2)


@healthy
def plain():
    X, y = blobs()
    net = Sequential(Linear(4, 16), ReLU(), Linear(16, 3))
    return Training(net, nn.CrossEntropyLoss(), adam(net, 0.02), X, y, 20, 10)


@healthy
def linear_on_purpose():
    Z = torch.randn(200, 3) @ torch.randn(3, 12)
    net = Sequential(Linear(12, 3), Linear(3, 12))
    return Training(net, nn.MSELoss(), adam(net, 0.02), Z, Z.clone(), 20, 25)


@healthy
def norm_before_raw_columns():
    Z = torch.randn(300, 4)
    X = Z * torch.tensor([1e5, 1.0, 0.1, 1e4]) + torch.tensor([1e5, 3.0, 0.0, 5e4])
    net = Sequential(nn.BatchNorm1d(4), Linear(4, 16), ReLU(), Linear(16, 2))
    return Training(net, nn.CrossEntropyLoss(), adam(net, 0.02), X, (Z.sum(1) > 0).long(), 20, 15)


@healthy
def frozen_on_purpose():
    X, y = blobs()
    net = Sequential(Linear(4, 60), ReLU(), Linear(60, 3))
    net[0].requires_grad_(False)
    return Training(net, nn.CrossEntropyLoss(), adam(net[2], 0.02), X, y, 20, 10)


@healthy
def half_of_it_noise():
    X = torch.randn(300, 4)
    Y = X[:, :1] - X[:, 1:2] + 1.4 * torch.randn(300, 1)
    net = Sequential(Linear(4, 8), ReLU(), Linear(8, 1))
    return Training(net, nn.MSELoss(), adam(net, 0.02), X, Y, 20, 20)


@healthy
def one_against_nine():
    X = torch.randn(400, 3)
    y = (X[:, 0] + X[:, 1] > 1.8).long()
    net = Sequential(Linear(3, 16), ReLU(), Linear(16, 2))
    return Training(net, nn.CrossEntropyLoss(), adam(net, 0.02), X, y, 20, 20)
