"""Recurrent layers and cells: value and every gradient are torch's."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm
from torch_modules import check_same
from zoo import close

import pullback as pb
from pullback.errors import ConversionError
from pullback.ir import walk
from pullback.ir.scan import Scan

X = torch.randn(2, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
STEP = X[:, 0]
H = torch.randn(2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


class With(nn.Module):
    """A recurrent module, and any way to use it."""

    def __init__(self, part, how):
        super().__init__()
        self.part, self.how = part, how
        self.start = nn.Parameter(torch.linspace(-1, 1, 3))

    def forward(self, *xs):
        return self.how(self, *xs)


def first(m, x):
    return m.part(x)[0]


def time_first(m, x):
    return m.part(x.transpose(0, 1))[0].transpose(0, 1)


def last(m, x):
    out, h = m.part(x)
    return torch.cat([out[:, -1], h.transpose(0, 1).flatten(1)], 1)


def lasts(m, x):
    out, (h, c) = m.part(x)
    return out[:, 0] + h[0] * h[-1] + c[-1]


def again(m, x):
    out, h = m.part(x)
    return m.part(out, h)[0]


def zeros(m, x):
    h = torch.zeros(2, x.size(0), 3, dtype=x.dtype)
    return m.part(x, (h, h))[0]


def unrolled(m, x):
    h, c = m.part(x[:, 0])
    for at in (1, 2):
        h, c = m.part(x[:, at], (h, c))
    return torch.cat([h, c], 1)


def fed_back(m, x):
    h = m.part(x)
    return m.part(h, h) * m.part(x, hx=h)


def given(m, x, h):
    return m.part(x, h)


def learnt(m, x):
    return m.part(x, m.start.expand(1, x.size(0), -1).contiguous())[1][0]


def of_input(m, x):
    return m.part(input=x, hx=x[:, 1].unsqueeze(0))[0]


LAYERS = {
    "rnn": (lambda: nn.RNN(3, 3, batch_first=True), first, X),
    "rnn of relu without bias": (
        lambda: nn.RNN(3, 2, nonlinearity="relu", bias=False, batch_first=True), last, X,
    ),
    "gru, time first": (lambda: nn.GRU(3, 2), time_first, X),
    "gru both ways": (lambda: nn.GRU(3, 2, 2, bidirectional=True, batch_first=True), last, X),
    "gru again, from its states": (lambda: nn.GRU(3, 3, 2, batch_first=True), again, X),
    "lstm": (lambda: nn.LSTM(3, 2, batch_first=True), lasts, X),
    "lstm, two layers, dropout": (
        lambda: nn.LSTM(3, 3, 2, dropout=0.5, batch_first=True), lasts, X,
    ),
    "lstm both ways, time first": (lambda: nn.LSTM(3, 2, bidirectional=True), time_first, X),
    "lstm from zeros": (lambda: nn.LSTM(3, 3, 2, batch_first=True), zeros, X),
    "one unit": (lambda: nn.LSTM(3, 1, batch_first=True), lasts, X),
    "one feature": (lambda: nn.GRU(1, 2, batch_first=True), first, X[..., :1]),
    "one step": (lambda: nn.GRU(3, 2, batch_first=True), last, X[:, :1]),
    "from what is learnt": (lambda: nn.GRU(3, 3, batch_first=True), learnt, X),
    "from the input": (lambda: nn.RNN(3, 3, batch_first=True), of_input, X),
    "an rnn's cell": (lambda: nn.RNNCell(3, 3), fed_back, STEP),
    "a cell of relu": (lambda: nn.RNNCell(3, 3, nonlinearity="relu"), fed_back, STEP),
    "a gru's cell": (lambda: nn.GRUCell(3, 3, bias=False), fed_back, STEP),
    "from an input": (lambda: nn.GRUCell(3, 3), given, (STEP, H)),
    "an lstm's cell": (lambda: nn.LSTMCell(3, 2), unrolled, X),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_value_and_gradients_are_torchs(name):
    make, how, example = LAYERS[name]
    torch.manual_seed(0)
    check_same(With(make(), how).double().eval(), example)


@pytest.mark.parametrize("part", [nn.RNN, nn.GRU, nn.LSTM])
def test_a_layer_by_itself_gives_its_outputs(part):
    torch.manual_seed(0)
    module = part(3, 2, batch_first=True).double()
    net, params = pb.from_torch(module, nn.MSELoss(), example=X)
    assert list(params) == list(module.state_dict())
    close(net.predict(params, X.numpy()), module(X)[0].detach().numpy())
    behind = nn.Sequential(nn.Linear(3, 3).double(), module)
    net, params = pb.from_torch(behind, nn.MSELoss(), example=X)
    close(net.predict(params, X.numpy()), behind(X)[0].detach().numpy())
    assert net.built.name == "a.1.h"


def test_what_is_behind_a_layer_takes_its_states():
    class Last(nn.Module):
        def forward(self, found):
            return found[0][:, -1] + found[1][1][0]

    torch.manual_seed(0)
    layer = nn.LSTM(3, 2, batch_first=True)
    check_same(nn.Sequential(layer, Last(), nn.Linear(2, 2)).double(), X)


def test_the_jacobian_is_torchs():
    torch.manual_seed(0)
    module = With(nn.GRU(3, 2, 2, bidirectional=True, batch_first=True), last).double()
    net, params = pb.from_torch(module, nn.MSELoss(), example=X)
    ours = pb.jacobian(net, params, X.numpy(), wrt="input").dense()
    for at in range(2):
        theirs = torch.autograd.functional.jacobian(lambda x: module(x[None])[0], X[at])
        close(ours[at], theirs.reshape(ours[at].shape).numpy(), tight=1e-10)


def test_the_module_is_one_loop_and_a_cell_is_none():
    def loops(net):
        return {each.family for each in walk((net.built,)) if isinstance(each, Scan)}

    loop = pb.from_torch(With(nn.LSTM(3, 2, batch_first=True), lasts), nn.MSELoss(), example=X)
    cell = pb.from_torch(With(nn.LSTMCell(3, 2), unrolled), nn.MSELoss(), example=X)
    assert [len(loops(net)) for net, _ in (loop, cell)] == [1, 0]


@pytest.mark.parametrize(
    ("part", "how", "words"),
    [
        (lambda: nn.GRU(3, 2), first, "batch_first is False; set it to True, or give it x.transp"),
        (lambda: nn.LSTM(3, 4, proj_size=2, batch_first=True), first, "part'.*proj_size"),
        (lambda: nn.GRU(3, 2, batch_first=True), lambda m, x: m.part(x[:, 0])[0], "alone"),
        (lambda: nn.GRU(3, 3, batch_first=True), lambda m, x: m.part(x, x)[0], "along the batch"),
        (
            lambda: spectral_norm(nn.GRU(3, 2, batch_first=True), "weight_hh_l0").eval(),
            first,
            "weights are computed|has no counterpart|cannot be",
        ),
    ],
)
def test_what_is_not_read_is_named(part, how, words):
    with pytest.raises(ConversionError, match=words):
        pb.from_torch(With(part(), how).double(), nn.MSELoss(), example=X)
