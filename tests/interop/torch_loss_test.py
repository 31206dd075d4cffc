"""torch's losses come in exact to the factor, or not at all."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from zoo import close

import pullback as pb


def model(outputs, end=None):
    torch.manual_seed(1)
    parts = [nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, outputs), *([end] if end else [])]
    return nn.Sequential(*parts).double()


def targets(kind, outputs):
    rng = torch.Generator().manual_seed(2)
    shape = (6, outputs)
    match kind:
        case "labels":
            return torch.randint(0, outputs, (6,), generator=rng)
        case "bits":
            return torch.randint(0, 2, shape, generator=rng).double()
        case "chances":
            return torch.softmax(torch.randn(shape, generator=rng).double(), 1)
        case "signs":
            return 2.0 * torch.randint(0, 2, shape, generator=rng).double() - 1
    return torch.randn(shape, generator=rng, dtype=torch.float64)


CASES = [
    (loss, reduction, outputs, kind, end)
    for reduction in ("mean", "sum")
    for loss, kind, end in (
        (nn.CrossEntropyLoss, "labels", None),
        (nn.CrossEntropyLoss, "chances", None),
        (nn.CrossEntropyLoss, "labels", nn.LogSoftmax(dim=1)),
        (nn.NLLLoss, "labels", nn.LogSoftmax(dim=-1)),
        (nn.MSELoss, "values", None),
        (nn.BCEWithLogitsLoss, "bits", None),
        (nn.BCEWithLogitsLoss, "chances", None),
        (nn.BCELoss, "bits", nn.Sigmoid()),
        (nn.SoftMarginLoss, "signs", None),
        (nn.MSELoss, "values", nn.LogSoftmax(dim=1)),
        (nn.MSELoss, "chances", nn.Softmax(dim=-1)),
    )
    for outputs in (1, 3)
    if not (loss is nn.SoftMarginLoss and outputs == 3 and reduction == "mean")
]


def agrees(module, criterion, X, Y):
    """The network, its parameters and its value, once value and gradients are torch's."""
    net, params = pb.from_torch(module, loss=criterion, example=X)
    value, grads = net.value_and_grad(params, X, Y)
    theirs = criterion(module(X), Y)
    theirs.backward()
    assert value == pytest.approx(theirs.item(), rel=1e-12, abs=1e-14)
    for name, parameter in module.named_parameters():
        close(grads[name], parameter.grad.numpy())
    return net, params, value


@pytest.mark.parametrize(
    ("loss", "reduction", "outputs", "kind", "end"),
    CASES,
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_value_and_gradients(loss, reduction, outputs, kind, end):
    module, criterion, Y = model(outputs, end), loss(reduction=reduction), targets(kind, outputs)
    X = torch.randn(6, 4, dtype=torch.float64)
    agrees(module, criterion, X, Y)


WEIGHTS = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)
OPTIONS = [
    (nn.CrossEntropyLoss(weight=WEIGHTS, label_smoothing=0.1), "labels", None),
    (nn.CrossEntropyLoss(ignore_index=2), "labels", None),
    (nn.NLLLoss(weight=WEIGHTS), "labels", nn.LogSoftmax(1)),
    (nn.NLLLoss(), "labels", None),
    (nn.BCEWithLogitsLoss(pos_weight=WEIGHTS, weight=WEIGHTS), "bits", None),
    (nn.L1Loss(), "values", None),
    (nn.SmoothL1Loss(beta=0.3), "values", None),
    (nn.HuberLoss(delta=0.4, reduction="sum"), "values", None),
    (nn.KLDivLoss(reduction="batchmean"), "chances", nn.LogSoftmax(1)),
    (nn.PoissonNLLLoss(full=True), "bits", None),
    (partial(F.smooth_l1_loss, beta=0.2), "values", None),
]


@pytest.mark.parametrize(("loss", "kind", "end"), OPTIONS, ids=[str(at) for at in range(11)])
def test_options_are_read(loss, kind, end):
    module, Y, X = model(3, end), targets(kind, 3), torch.randn(6, 4, dtype=torch.float64)
    agrees(module, loss, X, Y)


def test_classes_before_places():
    torch.manual_seed(0)
    module = nn.Conv1d(2, 3, 1).double()
    X, Y = torch.randn(4, 2, 5, dtype=torch.float64), torch.randint(0, 3, (4, 5))
    net, params = pb.from_torch(module, nn.CrossEntropyLoss(weight=WEIGHTS), example=X)
    value, grads = net.value_and_grad(params, X, Y)
    loss = F.cross_entropy(module(X), Y, weight=WEIGHTS)
    loss.backward()
    assert value == pytest.approx(loss.item(), rel=1e-12)
    close(grads["weight"], module.weight.grad.numpy())
    assert pb.check(net, params, X.numpy(), Y.numpy()).ok


class Focal(nn.Module):
    """Lin et al. 2017."""

    def forward(self, z, y):
        log_p = F.log_softmax(z, 1).gather(1, y[:, None])[:, 0]
        return -((1 - log_p.exp()) ** 2 * log_p).mean()


class FocalOnTop(nn.Module):
    """The same of the losses of samples."""

    def __init__(self):
        super().__init__()
        self.each = nn.CrossEntropyLoss(reduction="none")

    def forward(self, z, y):
        loss = self.each(z, y)
        return ((1 - torch.exp(-loss)) ** 2 * loss).mean()


BESIDE = nn.CrossEntropyLoss()
OWN = {
    "squares": (lambda z, y: ((z - y) ** 2).mean(), "values"),
    "a sum": (lambda z, y: (z - y).abs().sum(), "values"),
    "a sum a sample": (lambda z, y: (z - y).pow(2).sum(dim=1).mean(), "values"),
    "a sum over the count": (lambda z, y: ((z - y) ** 2).sum() / z.shape[0], "values"),
    "a sum over the numbers": (lambda z, y: ((z - y) ** 2).sum() / z.numel(), "values"),
    "log cosh": (lambda z, y: torch.log(torch.cosh(z - y)).mean(), "values"),
    "a quantile": (lambda z, y: torch.max(0.9 * (y - z), 0.1 * (z - y)).mean(), "values"),
    "lengths": (lambda z, y: torch.norm(z - y, dim=1).mean(), "values"),
    "two terms": (lambda z, y: F.mse_loss(z, y) + 0.1 * (z - y).abs().mean(), "values"),
    "a penalty": (lambda z, y: BESIDE(z, y) + 0.1 * (z**2).mean(), "labels"),
    "Brier": (lambda z, y: ((z.softmax(1) - F.one_hot(y, 3)) ** 2).sum(1).mean(), "labels"),
    "focal": (Focal(), "labels"),
    "focal on top": (FocalOnTop(), "labels"),
    "bits": (lambda z, y: F.binary_cross_entropy_with_logits(z, y), "bits"),
    "a function of torch": (F.cross_entropy, "labels"),
    "with an option": (partial(F.mse_loss, reduction="sum"), "values"),
}


@pytest.mark.parametrize("name", OWN)
def test_a_loss_of_ones_own_is_traced(name):
    loss, kind = OWN[name]
    module, Y = model(3), targets(kind, 3)
    X = torch.randn(6, 4, dtype=torch.float64)
    net, params, value = agrees(module, loss, X, Y)
    weighted, _ = net.value_and_grad(params, X, Y, sample_weight=np.ones(6))
    assert weighted == pytest.approx(value, rel=1e-12)


def test_a_loss_of_ours_is_taken_as_it_is():
    net, _ = pb.from_torch(model(3), loss=pb.BinaryCrossEntropy(reduction="sum"))
    assert net.criterion == pb.BinaryCrossEntropy(reduction="sum")


def test_bce_loss_is_a_mean_over_outputs():
    """Ours sums over outputs; torch's three outputs give a third of it, forecasts included."""
    X, Y = np.random.default_rng(0).normal(size=(6, 4)), np.eye(6, 3)
    ours, theirs = (
        pb.Network(pb.Sequential(pb.Linear(4, 5), pb.Tanh(), pb.Linear(5, 3)), loss)
        for loss in (pb.BinaryCrossEntropy(), pb.BCELoss())
    )
    params = ours.init(seed=0)
    assert theirs.loss(params, X, Y) == pytest.approx(ours.loss(params, X, Y) / 3, rel=1e-14)
    one, other = (pb.forecast(net, X, Y, methods="coupled") for net in (ours, theirs))
    for a, b in zip(one.layers, other.layers, strict=True):
        assert b.delta_ms["coupled"] == pytest.approx(a.delta_ms["coupled"] / 9, rel=1e-9)


@pytest.mark.parametrize(
    ("loss", "end", "words"),
    [
        (nn.CrossEntropyLoss(reduction="none"), None, "reduction='none'"),
        (lambda z, y: F.mse_loss(z, y).sqrt(), None, "expected a mean or a sum of one number"),
        (lambda z, y: (z - y).mean() + z.sum(), None, "a mean over samples and a sum over"),
        (lambda z, y: (z - y) ** 2, None, "is no single number"),
        (lambda z, y: z[0].sum(), None, "samples would mix"),
        (lambda z, y: torch.linalg.det(z.T @ z), None, "linalg_det at node"),
        (lambda z, y: (z - y).abs().max(), None, "max is over the samples"),
        (lambda z, y: ((z - y) ** 2 * torch.ones(3)).mean(), None, "tensors of its own"),
        ("mse", None, "the loss 'mse' is none"),
        (nn.NLLLoss(), nn.LogSoftmax(dim=0), "over axis 0; expected the features"),
        (nn.SoftMarginLoss(), None, "averages over the 3 outputs"),
        (lambda z, y: F.cross_entropy(z, y, weight=torch.ones(3)) * 2, None, "weights of classes"),
        (None, None, "no loss is given; expected one of torch's"),
    ],
    ids=lambda part: getattr(part, "__name__", str(part)),  # no addresses
)
def test_what_has_no_counterpart_is_named(loss, end, words):
    with pytest.raises(pb.errors.ConversionError) as caught:
        pb.from_torch(model(3, end), loss=loss)
    assert words in str(caught.value)
