"""More networks that do not learn, and healthy ones that look as if they would not.

Each is a slip that people make in torch, at another width, depth, loss, optimiser and kind of data
than those of ``faulty_networks``; none is taken from anybody's program.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from faulty_networks import Training, adam, blobs, rings, sgd
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import (
    Conv1d,
    Conv2d,
    Flatten,
    Linear,
    MaxPool2d,
    ReLU,
    Sequential,
    Sigmoid,
    Softmax,
    Tanh,
)
from torch.nn.functional import one_hot


@dataclass(frozen=True)
class Variant:
    """A case: its places, a regular expression for what is said first, and how to make it.

    ``learns`` is the accuracy or R² that the repaired training has to reach, None where no change
    of a training can repair it.
    """

    where: tuple[str, ...]
    says: str
    learns: float | None
    make: Callable[[], Training]


VARIANTS: list[Variant] = []
LOOKS_ODD: list[Callable[[], Training]] = []


def variant(where: str, says: str, learns: float | None = 0.85):
    def keep(make):
        VARIANTS.append(Variant(tuple(where.split()), says, learns, make))
        return make

    return keep


def looks_odd(make):
    LOOKS_ODD.append(make)
    return make


def digits(n=500, scale=1 / 16, *, image=False):
    data = load_digits()
    X = torch.tensor(data.data[:n], dtype=torch.float32) * scale
    return (X.view(-1, 1, 8, 8) if image else X), torch.tensor(data.target[:n]).long()


def waves(n=300):
    X = torch.rand(n, 1) * 4 - 2
    return X, torch.sin(2 * X)


def stack(*widths, act=ReLU, end=()):
    layers = []
    for a, b in pairwise(widths[:-1]):
        layers += [Linear(a, b), act()]
    return Sequential(*layers, Linear(*widths[-2:]), *end)


def drawn(net, weight, bias=0.0):
    """With weights from N(0, weight²)."""
    for p in net.parameters():
        torch.nn.init.normal_(p, 0, weight) if p.dim() > 1 else torch.nn.init.constant_(p, bias)
    return net


class Written(nn.Module):
    """A module whose forward is a function of its parts."""

    def __init__(self, forward, **parts):
        super().__init__()
        self.run = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.run(self, x)


# the output and the loss


@variant("5", "over the batch|softmax")
def softmax_over_the_batch():
    X, y = digits()
    net = stack(64, 48, 24, 10, end=(Softmax(dim=0),))
    return Training(net, nn.CrossEntropyLoss(), sgd(net, 0.05, momentum=0.9), X, y, 25, 10)


@variant("3 loss data.Y", "one single unit|softmax", 0.8)
def softmax_on_prices():
    X = torch.randn(300, 5)
    Y = 2e3 + 700 * X[:, :1] - 500 * X[:, 1:2]
    net = stack(5, 24, 1, end=(Softmax(dim=1),))
    return Training(net, nn.MSELoss(), adam(net, 0.02), X, Y, 30, 20)


@variant("model", "expects logits")
def softmax_in_the_code():
    X, y = digits()
    net = Written(
        lambda m, x: torch.softmax(m.last(torch.tanh(m.first(x))), dim=-1),
        first=Linear(64, 40),
        last=Linear(40, 10),
    )
    return Training(net, nn.CrossEntropyLoss(), sgd(net, 0.1), X, y, 25, 12)


@variant("4 loss", "log-probabilities|log-softmax|raw")
def softmax_under_nll():
    X, y = digits()
    net = Sequential(Linear(64, 32), ReLU(), nn.Dropout(0.1), Linear(32, 10), Softmax(dim=1))
    return Training(net, nn.NLLLoss(), sgd(net, 0.01), X, y, 25, 10)


@variant("3", "outside", 0.9)
def tanh_on_degrees():
    X, Y = waves()
    net = stack(1, 32, 1, act=Tanh, end=(Tanh(),))
    return Training(net, nn.SmoothL1Loss(), adam(net, 0.02), X, 20 + 5 * Y, 20, 60)


@variant("2 loss", "10 classes")
def one_sigmoid_for_ten():
    X, y = digits()
    net = stack(64, 32, 1, end=(Sigmoid(),))
    return Training(net, nn.MSELoss(), adam(net, 0.01), X, y[:, None].float(), 25, 15)


@variant("2 loss", "output unit")
def cross_entropy_over_one():
    X, y = blobs(300, 6, 2)
    net = stack(6, 12, 1)
    return Training(net, nn.CrossEntropyLoss(), adam(net, 0.01), X, y, 30, 15)


@variant("data.Y", "broadcast", 0.9)
def broadcast_absolute():
    X = torch.randn(240, 4)
    net = stack(4, 32, 1)
    return Training(net, nn.L1Loss(), adam(net, 0.02), X, X[:, 0] * 2 - X[:, 3], 24, 20)


@variant("loss 4", "ReLU after the last|negative")
def relu_logits():
    X, y = digits()
    net = stack(64, 16, 16, 10, end=(ReLU(),))
    nn.init.constant_(net[4].bias, -1.0)
    return Training(net, nn.CrossEntropyLoss(), sgd(net, 0.05), X, y, 25, 12)


# the data


@variant("data.X", "not standardised")
def bytes_under_a_sigmoid():
    X, y = digits(scale=255 / 16)
    net = stack(64, 32, 10, act=Sigmoid)
    return Training(net, nn.CrossEntropyLoss(), sgd(net, 0.1), X, y, 25, 12)


@variant("data.X data.Y", "not standardised", 0.8)
def houses():
    Z = torch.randn(300, 6)
    X = Z * torch.tensor([50.0, 1.0, 3e4, 0.1, 200.0, 2e5]) + 100
    Y = 1e6 + 2e5 * (Z[:, :1] + Z[:, 1:2] * 0.5)
    net = stack(6, 32, 16, 1)
    return Training(net, nn.MSELoss(), adam(net, 0.001), X, Y, 30, 40)


@variant("data.X", "not standardised", 0.8)
def timestamps():
    t = torch.rand(300, 1)
    X = torch.cat([1.6e9 + 3e7 * t, torch.randn(300, 2)], dim=1)
    Y = t * 3 - X[:, 1:2]
    net = stack(3, 24, 1, act=Tanh)
    return Training(net, nn.MSELoss(), adam(net, 0.01), X, Y, 30, 30)


@variant("data.X", "not standardised")
def microvolts():
    X, y = blobs(300, 8, 4)
    net = stack(8, 24, 4)
    return Training(net, nn.CrossEntropyLoss(), sgd(net, 0.1), 1e-4 * X, y, 30, 20)


@variant("data data.Y", "no signal", None)
def answers_of_others():
    X = torch.randn(400, 5)
    Y = (X[:, :1] - X[:, 1:2])[torch.randperm(400)]
    net = stack(5, 24, 1)
    return Training(net, nn.MSELoss(), adam(net, 0.003), X, Y, 30, 10)


@variant("data.X data", "no information|every sample is the same", None)
def one_picture():
    X = torch.ones(200, 1, 8, 8)
    y = torch.arange(200) % 4
    net = Sequential(Conv2d(1, 4, 3), ReLU(), Flatten(), Linear(144, 4))
    return Training(net, nn.CrossEntropyLoss(), adam(net, 0.003), X, y, 25, 5)


@variant("data.Y", "constant", None)
def thresholded_away():
    X, y = digits(400)
    net = stack(64, 24, 2)
    return Training(net, nn.CrossEntropyLoss(), adam(net, 0.003), X, (y > 99).long(), 25, 5)


# weights and what passes through them


@variant("0 2 4 6 8 10 12 14 16", "δ shrinks|initial weights|vanish", 0.85)
def ten_quiet_tanh():
    X, y = blobs(300, 8, 4)
    net = drawn(stack(8, *[24] * 9, 4, act=Tanh), 0.03)
    return Training(net, nn.CrossEntropyLoss(), sgd(net, 0.1, momentum=0.9), X, y, 30, 15)


@variant("0 2 4 6 8", "grows|initial weights|too large", 0.85)
def loud_relu():
    X, y = digits()
    net = drawn(stack(64, *[64] * 5, 10), 1.0)
    return Training(net, nn.CrossEntropyLoss(), sgd(net, 0.01), X, y, 25, 12)


@variant("0 1 2 3", "dead", 0.85)
def all_negative():
    X = torch.rand(300, 6)
    y = (X[:, 0] > X[:, 1]).long()
    net = stack(6, 24, 24, 2)
    net[0].weight.data = -net[0].weight.data.abs() - 0.2
    net[0].bias.data.zero_()
    return Training(net, nn.CrossEntropyLoss(), adam(net, 0.003), X, y, 30, 20)


@variant("0 2 4", "copies", 0.9)
def all_the_same():
    X, y = rings(300)
    net = stack(2, 20, 20, 2)
    for p in net.parameters():
        nn.init.constant_(p, 0.1)
    return Training(net, nn.CrossEntropyLoss(), adam(net, 0.01), X, y, 30, 25)


@variant("0 1 2 3", "too large|saturat", 0.85)
def saturated_tanh():
    X, y = digits()
    net = drawn(stack(64, 32, 32, 10, act=Tanh), 3.0)
    return Training(net, nn.CrossEntropyLoss(), sgd(net, 0.02), X, y, 25, 12)


@variant("0 2 3", "nonlinear", 0.85)
def convolutions_alone():
    X = torch.rand(400, 1, 6, 6).round()
    y = (X.flatten(1)[:, 14] != X.flatten(1)[:, 15]).long()
    net = Sequential(Conv2d(1, 16, 3, padding=1), Flatten(), Linear(576, 32), Linear(32, 2))
    return Training(net, nn.CrossEntropyLoss(), adam(net, 0.005), X, y, 40, 25)


@variant("model", "round", None)
def rounded():
    X, y = blobs(300, 6, 3)
    net = Written(
        lambda m, x: m.out(torch.round(torch.tanh(m.hidden(x)))),
        hidden=drawn(Linear(6, 2), 0.01),
        out=Linear(2, 3),
    )
    return Training(net, nn.CrossEntropyLoss(), adam(net, 0.02), X, y, 30, 15)


@variant("model", "backward|gradient", None)
def root_of_zero():
    X, y = blobs(300, 6, 3)
    net = Written(
        lambda m, x: m.out(torch.sqrt((m.scale * torch.relu(m.hidden(x))).square())),
        hidden=Linear(6, 12),
        scale=nn.Parameter(torch.ones(12)),
        out=Linear(12, 3),
    )
    return Training(net, nn.CrossEntropyLoss(), adam(net, 0.02), X, y, 30, 15)


# the optimiser and the steps


@variant("optimizer head", "held by the optimiser|none of", 0.85)
def another_head():
    X, y = digits()
    body = Sequential(Linear(64, 6), ReLU())
    body.requires_grad_(False)
    net = Written(lambda m, x: m.head(m.body(x)), body=body, head=Linear(6, 10))
    optimizer = adam(net, 0.01)
    net.head = Linear(6, 10)
    return Training(net, nn.CrossEntropyLoss(), optimizer, X, y, 25, 12)


@variant("optimizer", "too high", 0.85)
def adam_of_one():
    X, y = digits()
    net = stack(64, 32, 32, 10)
    return Training(net, nn.CrossEntropyLoss(), adam(net, 1.0), X, y, 25, 12)


@variant("optimizer", "too high", 0.8)
def momentum_and_a_high_rate():
    X, Y = waves()
    net = stack(1, 64, 64, 1, act=Tanh)
    return Training(net, nn.MSELoss(), sgd(net, 1.0, momentum=0.95), X, Y, 20, 60)


@variant("optimizer epochs", "too low|too few", 0.85)
def gru_in_no_hurry():
    X = torch.randn(300, 8, 2)
    y = (X[:, :, 0].sum(1) > X[:, :, 1].sum(1)).long()
    gru = nn.GRU(2, 12, batch_first=True)
    net = Written(lambda m, x: m.out(m.gru(x)[0][:, -1]), gru=gru, out=Linear(12, 2))
    return Training(net, nn.CrossEntropyLoss(), adam(net, 2e-5), X, y, 30, 15)


@variant("optimizer epochs", "too low|too few", 0.9)
def slow_descent():
    X = torch.randn(200, 10)
    Y = X @ torch.linspace(-1, 1, 10)[:, None]
    net = Linear(10, 1)
    return Training(net, nn.MSELoss(), sgd(net, 1e-4), X, Y, 20, 20)


@variant("epochs optimizer", "too few|too low", 0.85)
def one_epoch():
    X, y = digits(image=True)
    net = Sequential(Conv2d(1, 12, 3), ReLU(), MaxPool2d(2), Flatten(), Linear(108, 10))
    return Training(net, nn.CrossEntropyLoss(), adam(net, 0.001), X, y, 50, 1)


@variant("batch_size epochs optimizer", "too large|too few|too low", 0.85)
def whole_batches():
    X, y = digits()
    net = stack(64, 48, 10)
    return Training(net, nn.CrossEntropyLoss(), adam(net, 0.001), X, y, 500, 12)


@variant("optimizer", "weight decay", 0.85)
def crushed():
    X, y = digits()
    net = stack(64, 32, 10, act=Tanh)
    return Training(net, nn.CrossEntropyLoss(), sgd(net, 0.1, weight_decay=0.5), X, y, 25, 15)


@variant("1 4", "dropout", 0.85)
def hardly_a_unit():
    X, y = digits()
    net = Sequential(
        Linear(64, 32), nn.Dropout(0.9), ReLU(), Linear(32, 32), nn.Dropout(0.9), ReLU(),
        Linear(32, 10),
    )  # fmt: skip
    return Training(net, nn.CrossEntropyLoss(), adam(net, 0.003), X, y, 25, 12)


@variant("0 2", "too few units", 0.85)
def two_units():
    X, y = digits()
    net = stack(64, 2, 2, 10)
    return Training(net, nn.CrossEntropyLoss(), adam(net, 0.01), X, y, 25, 20)


# healthy


@looks_odd
def log_softmax_before_cross_entropy():
    X, y = digits()
    net = stack(64, 32, 10, end=(nn.LogSoftmax(dim=1),))
    return Training(net, nn.CrossEntropyLoss(), adam(net, 0.005), X, y, 25, 12)


@looks_odd
def logits_within_one():
    X, y = blobs(300, 6, 2)
    net = stack(6, 12, 1, act=Tanh, end=(Tanh(),))
    return Training(net, nn.BCEWithLogitsLoss(), adam(net, 0.01), X, y[:, None].float(), 30, 15)


@looks_odd
def sigmoid_hidden():
    X, y = digits()
    net = stack(64, 32, 10, act=Sigmoid)
    return Training(net, nn.CrossEntropyLoss(), adam(net, 0.02), X, y, 25, 12)


@looks_odd
def strong_dropout_on_many():
    X, y = digits()
    net = Sequential(Linear(64, 300), ReLU(), nn.Dropout(0.7), Linear(300, 10))
    return Training(net, nn.CrossEntropyLoss(), adam(net, 0.005), X, y, 25, 15)


@looks_odd
def a_last_layer_of_zeros():
    X, y = digits()
    net = stack(64, 32, 10)
    for p in net[2].parameters():
        nn.init.zeros_(p)
    return Training(net, nn.CrossEntropyLoss(), adam(net, 0.005), X, y, 25, 12)


@looks_odd
def decoupled_decay():
    X, y = digits()
    net = stack(64, 32, 10)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.005, weight_decay=1.0)
    return Training(net, nn.CrossEntropyLoss(), optimizer, X, y, 25, 12)


@looks_odd
def one_at_a_time():
    X, y = blobs(200, 6, 3)
    net = stack(6, 16, 3)
    return Training(net, nn.CrossEntropyLoss(), sgd(net, 0.02), X, y, 1, 3)


@looks_odd
def bytes_before_a_norm():
    X, y = digits(scale=255 / 16, image=True)
    net = Sequential(nn.BatchNorm2d(1), Conv2d(1, 8, 3), ReLU(), Flatten(), Linear(288, 10))
    return Training(net, nn.CrossEntropyLoss(), adam(net, 0.005), X, y, 25, 8)


@looks_odd
def large_columns_and_adam():
    X, y = blobs(300, 6, 3)
    net = stack(6, 32, 3)
    return Training(net, nn.CrossEntropyLoss(), adam(net, 0.01), 60 * X, y, 30, 15)


@looks_odd
def absolute_error():
    X, Y = waves()
    net = stack(1, 48, 48, 1, act=Tanh)
    return Training(net, nn.L1Loss(), adam(net, 0.01), X, Y, 20, 40)


@looks_odd
def squared_error_on_classes():
    X, y = digits()
    net = stack(64, 48, 10)
    return Training(net, nn.MSELoss(), adam(net, 0.005), X, one_hot(y, 10).float(), 25, 15)


@looks_odd
def an_unused_head():
    X, y = digits()
    net = Written(lambda m, x: m.body(x), body=stack(64, 32, 10), later=Linear(32, 4))
    return Training(net, nn.CrossEntropyLoss(), adam(net, 0.005), X, y, 25, 12)


@looks_odd
def noisy_labels():
    X, y = blobs(400, 6, 4)
    wrong = torch.rand(400) < 0.2
    y = torch.where(wrong, torch.randint(0, 4, (400,)), y)
    net = stack(6, 16, 4)
    return Training(net, nn.CrossEntropyLoss(), adam(net, 0.01), X, y, 25, 15)


@looks_odd
def mostly_noise():
    X = torch.randn(500, 3)
    Y = 0.7 * X[:, :1] + torch.randn(500, 1)
    net = stack(3, 8, 1)
    return Training(net, nn.MSELoss(), adam(net, 0.005), X, Y, 25, 15)


@looks_odd
def constant_columns():
    X, y = blobs(300, 6, 3)
    X = torch.cat([X, torch.zeros(300, 3), X[:, :2]], dim=1)
    net = stack(11, 16, 3)
    return Training(net, nn.CrossEntropyLoss(), adam(net, 0.01), X, y, 30, 15)


@looks_odd
def three_of_a_hundred():
    X = torch.randn(600, 3)
    y = (X.sum(1) > 3.1).long()
    net = stack(3, 16, 2)
    return Training(net, nn.CrossEntropyLoss(), adam(net, 0.02), X, y, 30, 20)


@looks_odd
def two_units_that_suffice():
    X, y = blobs(300, 6, 2)
    net = stack(6, 2, 2, act=Tanh)
    return Training(net, nn.CrossEntropyLoss(), adam(net, 0.02), X, y, 30, 20)


class Block(nn.Module):
    """A residual block whose branch starts at 0."""

    def __init__(self, n):
        super().__init__()
        self.norm, self.wide, self.back = nn.LayerNorm(n), Linear(n, 2 * n), Linear(2 * n, n)
        nn.init.zeros_(self.back.weight)

    def forward(self, x):
        return x + self.back(torch.relu(self.wide(self.norm(x))))


@looks_odd
def residuals_that_start_at_nothing():
    X, Y = waves()
    net = Sequential(Linear(1, 24), *[Block(24) for _ in range(10)], Linear(24, 1))
    return Training(net, nn.MSELoss(), adam(net, 0.003), X, Y, 20, 30)


@looks_odd
def full_batch_lbfgs():
    X, y = blobs(200, 6, 3)
    net = Linear(6, 3)
    rule = torch.optim.LBFGS(net.parameters(), lr=0.5, max_iter=5)
    return Training(net, nn.CrossEntropyLoss(), rule, X, y, 200, 10)


@looks_odd
def a_fast_rate_on_a_flat_loss():
    X, y = blobs(300, 6, 2)
    net = Sequential(Linear(6, 1), Sigmoid())
    return Training(net, nn.MSELoss(), sgd(net, 5.0), X, y[:, None].float(), 30, 20)


@looks_odd
def causal_convolution():
    X = torch.randn(300, 2, 12)
    y = (X[:, 0].mean(1) > X[:, 1].mean(1)).long()
    net = Sequential(
        Conv1d(2, 12, 3), nn.GLU(dim=1), Conv1d(6, 12, 3, stride=2), nn.SiLU(), Flatten(),
        Linear(48, 2),
    )  # fmt: skip
    return Training(net, nn.CrossEntropyLoss(), adam(net, 0.01), X, y, 30, 15)


@looks_odd
def margins():
    X, y = blobs(300, 6, 3)
    net = stack(6, 16, 3)
    return Training(net, nn.MultiMarginLoss(), adam(net, 0.01), X, y, 30, 15)


@looks_odd
def a_loss_of_ones_own():
    X, Y = waves()
    net = stack(1, 48, 2, act=Tanh)

    def likelihood(z, y):
        return (z[:, 1:] + (z[:, :1] - y).square() * torch.exp(-2 * z[:, 1:])).mean()

    return Training(net, likelihood, adam(net, 0.01), X, Y, 20, 60)


@looks_odd
def smoothed_labels():
    X, y = blobs(300, 6, 2)
    net = stack(6, 12, 1)
    Y = 0.9 * y[:, None] + 0.05
    return Training(net, nn.BCEWithLogitsLoss(), adam(net, 0.02), X, Y, 30, 15)


@looks_odd
def raw_targets_near_a_hundred():
    X = torch.randn(300, 4)
    Y = 100 + 30 * X[:, :1]
    net = Linear(4, 1)
    return Training(net, nn.MSELoss(), sgd(net, 0.05), X, Y, 30, 30)
