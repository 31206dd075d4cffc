"""A torch module may be given to ``report`` as to ``forecast``: it is described as it is."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import pullback as pb


def module():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(6, 5), nn.ReLU(inplace=True), nn.Linear(5, 3))


X, Y = torch.randn(40, 2, 3, generator=torch.Generator().manual_seed(0)), torch.arange(40) % 3


def test_a_module_is_described_with_its_own_weights(tmp_path):
    given = module()
    before, data = copy.deepcopy(given.state_dict()), X.clone()
    path = pb.report(given, X, Y, tmp_path / "r.html", progress=False)
    assert all(torch.equal(v, before[k]) for k, v in given.state_dict().items())
    assert torch.equal(X, data)
    net, params = pb.from_torch(given, nn.CrossEntropyLoss())
    same = pb.report(
        net, X.reshape(40, 6), Y, tmp_path / "s.html", params=params, progress=False,
        scheme=pb.init.he(),
    )  # fmt: skip
    text, other = path.read_text(), same.read_text()
    assert "measured in the module" in text
    assert "measured in the module" not in other
    right = int((net.predict(params, X.reshape(40, 6).numpy()).argmax(1) == Y.numpy()).sum())
    shown = f"{100 * right / 40:.3g}"
    assert shown in text
    assert shown in other


@pytest.mark.parametrize(
    ("net", "x", "loss", "words"),
    [
        (module(), X.cfloat(), None, "X has dtype complex64; expected float32 or float64"),
        (module(), X, "Huber", "the loss 'Huber'"),
        (nn.Sequential(nn.Flatten(), nn.RReLU()), X, None, "RReLU at '1'"),
        (3, X, None, r"net is 3; expected a pb\.Network\(model, loss=…\) or a torch"),
        (pb.Network(pb.Linear(6, 3), pb.MSELoss()), X, nn.MSELoss(), "the network has one"),
    ],
    ids=["complex numbers", "a loss", "a layer", "no network", "a second loss"],
)
def test_what_cannot_be_described_is_refused_before_work(net, x, loss, words, tmp_path):
    with pytest.raises(pb.errors.PullbackError, match=words):
        pb.report(net, x, Y, tmp_path / "r.html", loss=loss, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_whole_numbers_are_the_real_ones_where_nothing_is_looked_up():
    whole = (10 * X).long()
    of_reals = pb.forecast(module(), whole.float(), Y, methods="coupled")
    for x in (whole, whole.numpy().astype(np.int32)):
        assert pb.forecast(module(), x, Y, methods="coupled").ratio == of_reals.ratio
