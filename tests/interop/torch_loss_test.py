"""torch's losses come in exact to the factor, or not at all."""

import numpy as np
import pytest
import torch
from torch import nn
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


@pytest.mark.parametrize(
    ("loss", "reduction", "outputs", "kind", "end"),
    CASES,
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_value_and_gradients(loss, reduction, outputs, kind, end):
    module, criterion, Y = model(outputs, end), loss(reduction=reduction), targets(kind, outputs)
    X = torch.randn(6, 4, dtype=torch.float64)
    net, params = pb.from_torch(module, loss=criterion, example=X)
    value, grads = net.value_and_grad(params, X, Y)
    theirs = criterion(module(X), Y)
    theirs.backward()
    assert value == pytest.approx(theirs.item(), rel=1e-12, abs=1e-14)
    for name, parameter in module.named_parameters():
        close(grads[name], parameter.grad.numpy())


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
        (nn.CrossEntropyLoss(label_smoothing=0.1), None, "label_smoothing=0.1"),
        (nn.CrossEntropyLoss(weight=torch.ones(3)), None, "weight=a tensor"),
        (nn.CrossEntropyLoss(ignore_index=2), None, "ignore_index=2"),
        (nn.CrossEntropyLoss(reduction="none"), None, "reduction='none'"),
        (nn.BCEWithLogitsLoss(pos_weight=torch.ones(3)), None, "pos_weight=a tensor"),
        (nn.NLLLoss(), None, "NLLLoss needs a model that ends in LogSoftmax"),
        (nn.NLLLoss(), nn.LogSoftmax(dim=0), "over axis 0; expected the features"),
        (nn.SoftMarginLoss(), None, "averages over the 3 outputs"),
        (nn.HuberLoss(), None, "the loss HuberLoss() has no counterpart"),
        (nn.functional.mse_loss, None, "the loss mse_loss has no counterpart"),
        (None, None, "no loss is given; known: CrossEntropyLoss"),
    ],
    ids=lambda part: getattr(part, "__name__", str(part)),  # no addresses
)
def test_what_has_no_counterpart_is_named(loss, end, words):
    with pytest.raises(pb.errors.ConversionError) as caught:
        pb.from_torch(model(3, end), loss=loss)
    assert words in str(caught.value)
