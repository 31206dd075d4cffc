"""What a trace does not show is found by running the module: it is refused, and nothing changes."""

import copy
import random
import re
import threading

import numpy as np
import pytest
import torch
from torch import nn
from torch_modules import Forward, made

import pullback as pb
from pullback.errors import ConversionError


class Reverse(torch.autograd.Function):
    """Gradient reversal (Ganin et al. 2016)."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return -grad


class StraightThrough(torch.autograd.Function):
    """sign, with the gradient of the identity."""

    @staticmethod
    def forward(ctx, x):
        return torch.sign(x)

    @staticmethod
    def backward(ctx, grad):
        return grad


class Straightly(torch.autograd.Function):
    """2x, with the gradient that it has."""

    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, grad):
        return 2 * grad


def doubled_gradient(m, x):
    h = m.fc1(x)
    h.register_hook(lambda grad: 2 * grad)
    return m.head(h)


def for_large_batches(limit):
    def forward(m, x):
        return m.head(m.fc1(x)) * (2.0 if x.shape[0] > limit else 1.0)

    return forward


class Counting(Forward):
    """A forward that is another each second time."""

    calls = 0

    def __init__(self):
        super().__init__(None)

    def forward(self, x):
        self.calls += 1
        h = self.head(self.fc1(x))
        return h if isinstance(x, torch.fx.Proxy) or self.calls % 2 else 1.5 * h


class Remembering(Forward):
    """A forward that writes to a buffer, whose value the output does not show."""

    def __init__(self):
        super().__init__(None)
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, x):
        self.steps += 1
        return self.head(self.fc1(x))


class Clipped(Forward):
    """A forward that clips a weight, which is small enough already."""

    def forward(self, x):
        if not isinstance(x, torch.fx.Proxy):
            self.fc1.weight.data.clamp_(-0.9, 0.9)
        return self.head(self.fc1(x))


class Sly(Forward):
    """Something else than its trace, for one batch, sign or size of input only."""

    def forward(self, x):
        h = self.head(torch.tanh(self.fc1(x)))
        if not isinstance(x, torch.fx.Proxy) and self.how(x):
            h = h + 1e-4 * h
        return h


class Wanting(Forward):
    """Another function where no gradients are wanted."""

    def __init__(self):
        super().__init__(None)

    def forward(self, x):
        h = self.head(self.fc1(x))
        return h if torch.is_grad_enabled() else 2 * h


def hooked_parameter():
    module = made("names")
    module.first.weight.register_hook(lambda grad: -grad)
    return module


def hooked_after():
    module = made("names")
    module.first.weight.register_post_accumulate_grad_hook(lambda p: None)
    return module


def hooked_backward():
    module = made("names")
    module.act.register_full_backward_hook(lambda m, into, out: (2 * into[0],))
    return module


def one_memory():
    module = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
    module[2].weight = nn.Parameter(module[0].weight.data)
    return module


def spectral():
    return nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(4, 3)))


def called(name):
    module = nn.Sequential()
    module.add_module(name, nn.Linear(4, 3))
    return module


def of(forward):
    return lambda: Forward(forward)


REFUSED = {
    "gradient reversal": (
        of(lambda m, x: m.head(Reverse.apply(torch.tanh(m.fc1(x))))),
        r"differ on .*: the gradient of 'fc1\..*by up to .*the backward pass of Reverse is not",
    ),
    "straight-through": (
        of(lambda m, x: m.head(StraightThrough.apply(m.fc1(x)))), "StraightThrough is not",
    ),
    "a hook inside": (of(doubled_gradient), "the gradient of 'fc1.*module's is 2 times"),
    "a hook of a parameter": (hooked_parameter, r"the parameter 'first\.weight' has hooks"),
    "a hook after": (hooked_after, r"the parameter 'first\.weight' has hooks"),
    "a backward hook": (hooked_backward, "at 'act' has a hook that may change"),
    "one memory": (one_memory, r"'0\.weight' and '2\.weight' share memory"),
    "spectral norm in training": (spectral, r"of module '0\.parametrizations\.weight\.0'"),
    "a large batch": (of(for_large_batches(4)), "depends on the batch's size: .* 2 to 4 samples"),
    "a larger batch": (of(for_large_batches(1000)), "2 to 1000 samples only"),
    "every other call": (Counting, "gives two answers for one input"),
    "random numbers": (  # noise is read, but not as a number of Python's
        of(lambda m, x: m.head(m.fc1(x)) * torch.rand(1).item()), "differ on the example",
    ),
    "random scale": (
        of(lambda m, x: m.head(m.fc1(x)) * np.random.default_rng().normal()), "draws at random",
    ),
    "gradients wanted": (Wanting, "gives two answers for one input"),
    "lazy": (lambda: nn.Sequential(nn.LazyLinear(3)), r"0\.weight has no values yet"),
    "quantized": (
        lambda: torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(4, 3)).float()),
        "Linear at '0' has no|cannot be read|cannot trace|is no tensor",
    ),
    "a counter": (Remembering, "'steps'"),
    "clipped weights": (lambda: Clipped(None), "differ with other parameters"),
    "another batch of 7": (lambda: Sly(lambda x: len(x) == 7), "depends on the batch"),
    "large inputs": (lambda: Sly(lambda x: x.abs().max() > 10), "differ on a random batch of 7, l"),
    "other samples": (
        lambda: Sly(lambda x: len(x) > 1 and x[0].sum() > x[1].sum()), "depends on the batch",
    ),
    "zeros": (lambda: Sly(lambda x: not x.any()), "differ at x = 0"),
    "batch mean": (of(lambda m, x: m.head(m.fc1(x - x.mean(0)))), "mean at node"),
    "quotes": (lambda: called('a" + str(open("owned", "w")) + "'), "has parameters called 'a\""),
    "a line break": (lambda: called("a\nimport os"), r"called 'a\\nimport os"),
    "a surrogate": (lambda: called("a\ud800"), r"called 'a\\ud800"),
    "a long name": (lambda: called("a" * 400), r"called 'aaaa"),
    "nan": (lambda: nn.Sequential(nn.Linear(4, 3), nn.Tanh()).apply(
        lambda m: m.weight.data.fill_(np.nan) if isinstance(m, nn.Linear) else None),
        r"has a parameter that is nan, at \[0, 0\]"),
    "bounds out of order": (of(lambda m, x: m.head(m.fc1(x).clamp(1, -1))),
                            "no activation computes"),
    "no bound": (of(lambda m, x: m.head(m.fc1(x).clamp(max=float("nan")))), "nan stands where"),
    "a lock": (lambda: locked(), "cannot be copied"),
}  # fmt: skip


def locked():
    module = made("names")
    module.lock = threading.Lock()
    return module


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.filterwarnings("ignore")
def test_what_a_trace_does_not_show_is_refused(name):
    make, words = REFUSED[name]
    torch.manual_seed(1)
    module = make()
    for example in (np.ones((2, 4)), torch.randn(5, 4)):
        with pytest.raises(ConversionError) as caught:
            pb.from_torch(module, nn.MSELoss(), example=example)
        assert re.search(words, str(caught.value), re.DOTALL), caught.value


@pytest.mark.parametrize("name", ["gradient reversal", "zeros"])
def test_an_example_is_not_needed_to_find_it(name):
    make, words = REFUSED[name]
    torch.manual_seed(1)
    with pytest.raises(ConversionError, match=words):
        pb.from_torch(make(), nn.MSELoss())


def test_a_function_with_its_own_true_gradient_is_read():
    module = Forward(lambda m, x: m.head(Straightly.apply(m.fc1(x))))
    net, _ = pb.from_torch(module, nn.MSELoss())
    assert "2*x" in repr(net)


def test_the_callers_module_and_data_stay_as_they_were():
    """Parameters, buffers, gradients, modes, random states, and the example itself."""
    module = nn.Sequential(
        nn.ReLU(inplace=True), nn.Linear(4, 5), nn.ReLU(inplace=True), nn.Dropout(0.5),
        nn.Linear(5, 3),
    )  # fmt: skip
    module.eval()
    module[1].train()
    module(torch.randn(2, 4)).sum().backward()
    X = torch.randn(6, 4, requires_grad=True)
    example = X.detach()
    kept = copy.deepcopy(example), copy.deepcopy(module.state_dict())
    grads = {name: p.grad for name, p in module.named_parameters()}
    values = {name: g.clone() for name, g in grads.items()}
    modes = [part.training for part in module.modules()]
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    with torch.no_grad():
        pb.from_torch(module, nn.MSELoss(), example=example)
        assert not torch.is_grad_enabled()
    pb.from_torch(module, nn.MSELoss(), example=X)
    assert torch.equal(example, kept[0])
    assert X.grad is None
    assert X.requires_grad
    assert all(torch.equal(v, kept[1][k]) for k, v in module.state_dict().items())
    assert all(p.grad is grads[n] for n, p in module.named_parameters())
    assert all(torch.equal(g, values[n]) for n, g in grads.items())
    assert [part.training for part in module.modules()] == modes
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert np.array_equal(np.random.get_state()[1], states[2])  # noqa: NPY002


def test_forward_runs_on_a_copy_only():
    module = Counting()
    with pytest.raises(ConversionError):
        pb.from_torch(module, nn.MSELoss())
    assert module.calls == 0


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_where_gradients_are_off(context):
    with context():
        module = made("skips")
        net, _ = pb.from_torch(module, nn.MSELoss())
    assert isinstance(net, pb.Network)


def test_frozen_parameters_are_not_drawn_anew():
    module = nn.Sequential(*(b for _ in range(8) for b in (nn.Linear(20, 20), nn.Sigmoid())))
    X, Y = np.random.default_rng(0).normal(size=(30, 20)), np.zeros((30, 20))
    advice = pb.forecast(module, X, Y, methods="coupled").advice
    module[4].weight.requires_grad_(False)
    before = copy.deepcopy(module.state_dict())
    with pytest.raises(pb.errors.ConfigError, match=r"4\.weight is frozen in the module"):
        advice.apply_(module)
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())
