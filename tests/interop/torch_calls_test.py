"""However a module is called and whatever is around it: what it computes is what is read."""

import dataclasses
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune
from torch_modules import check_same
from zoo import close

import pullback as pb
from pullback.errors import ConversionError

X = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
PAIR = torch.randn(3, 2, dtype=torch.float64), torch.randn(3, 2, dtype=torch.float64)


class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 6), nn.Linear(4, 6)


class Masked(Base):
    def forward(self, x, mask=None):
        h = self.a(x)
        return h if mask is None else h * mask


class ByKeyword(Base):
    def forward(self, *, x):
        return self.a(x)


class Open(Base):
    def forward(self, *parts):
        return self.a(torch.cat(parts, 1))


class Flagged(Base):
    def forward(self, x, twice=False, *, scale=2.0):
        return (self.b if twice else self.a)(x) * scale


class Length(Base):
    def forward(self, x):
        return self.a(x.reshape(len(x), -1))


class InPlace(Base):
    def forward(self, x):
        x[:, 1] = 0
        h = self.a(x) + 1
        h[:, 0] = h[:, 1]
        h[:, 2:4] *= 2
        h += 1
        return self.b(h[:, :4]) * h


class Single(Base):
    """What it makes itself is of single precision."""

    def forward(self, x):
        return self.a(x.float()) + torch.zeros(x.shape[0], 6)


class Both(NamedTuple):
    first: object
    second: object


@dataclasses.dataclass
class Output:
    loss: object = None
    first: object = None
    second: object = None


class Several(Base):
    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def forward(self, x):
        return self.kind(first=self.a(x), second=self.b(x))


CALLS = {
    "a default of None": (Masked, X),
    "an input in its place": (Masked, (X, X.new_ones(3, 6) * 2)),
    "inputs by name": (Masked, {"x": X, "mask": X.new_ones(3, 6) * 2}),
    "only by name": (ByKeyword, {"x": X}),
    "any number": (Open, PAIR),
    "flags": (Flagged, X),
    "len": (Length, X),
}


@pytest.mark.parametrize("name", CALLS)
def test_value_and_gradients_are_torchs(name):
    make, example = CALLS[name]
    check_same(make().double(), example)


def test_what_is_made_of_single_precision_is_compared_in_double():
    module = Single()
    net, params = pb.from_torch(module, nn.MSELoss(), example=X)
    output = module(X).detach().numpy()
    assert np.allclose(net.predict(params, X.float().numpy()), output, atol=1e-6)


def test_what_works_in_place_is_read_and_the_example_stays():
    module, before = InPlace().double(), X.clone()
    net, params = pb.from_torch(module, nn.MSELoss(), example=X)
    assert torch.equal(X, before)
    close(net.predict(params, X.numpy()), module(X.clone()).detach().numpy())


@pytest.mark.parametrize("kind", [dict, Both, Output])
def test_outputs_by_place_and_by_name(kind):
    module = Several(kind).double()
    for output, part in ((0, "a"), (1, "b"), ("first", "a"), ("second", "b")):
        _, params = pb.from_torch(module, nn.MSELoss(), example=X, output=output)
        assert list(params) == [f"{part}.weight", f"{part}.bias"]
    with pytest.raises(ConversionError, match="no output 'third'; its outputs are 'first', 's"):
        pb.from_torch(module, nn.MSELoss(), example=X, output="third")


def pruned():
    module = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2))
    prune.l1_unstructured(module[0], "weight", amount=0.5)
    return module


def exported():
    free = ({0: torch.export.Dim.DYNAMIC},)
    return torch.export.export(nn.Sequential(nn.Linear(4, 3)).double(), (X,), dynamic_shapes=free)


AROUND = {
    "weight norm": lambda: nn.Sequential(parametrizations.weight_norm(nn.Linear(4, 3)), nn.Tanh()),
    "old weight norm": lambda: nn.Sequential(nn.utils.weight_norm(nn.Linear(4, 3)), nn.Tanh()),
    "spectral norm": lambda: nn.Sequential(parametrizations.spectral_norm(nn.Linear(4, 3))),
    "old spectral norm": lambda: nn.Sequential(nn.utils.spectral_norm(nn.Linear(4, 3))),
    "pruned": pruned,
    "compiled": lambda: torch.compile(nn.Sequential(nn.Linear(4, 3), nn.Tanh()), backend="eager"),
    "a compiled part": lambda: nn.Sequential(torch.compile(nn.Linear(4, 3), backend="eager")),
    "data parallel": lambda: nn.DataParallel(nn.Sequential(nn.Linear(4, 3), nn.Tanh())),
    "exported": lambda: exported().module(),
}


@pytest.mark.parametrize("name", AROUND)
@pytest.mark.filterwarnings("ignore")
def test_what_is_around_a_module_or_its_weights(name):
    torch.manual_seed(0)
    module = AROUND[name]().double()
    if name != "exported":
        module.eval()
    check_same(module, X)
    trained = {n for n, p in module.named_parameters() if p.requires_grad}
    net, _ = pb.from_torch(module, nn.MSELoss(), example=X)
    assert set(net.trained) == trained


def test_an_exported_program():
    net, _ = pb.from_torch(exported(), nn.MSELoss(), example=X)
    assert repr(net.model) == "Linear(4, 3, name='0')"


def test_hooks_that_record_are_no_hindrance():
    module, seen = nn.Sequential(nn.Linear(4, 3), nn.Tanh()).double(), []
    module[0].register_forward_hook(lambda part, into, out: seen.append(out.detach()))
    module[1].register_full_backward_hook(lambda part, into, out: None)
    pb.from_torch(module, nn.MSELoss(), example=X)
    assert all(type(each) is torch.Tensor for each in seen)  # nothing of a trace
