"""Small models of published architectures: values, gradients, code and Jacobians are right."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import pullback as pb


class Built(nn.Module):
    def __init__(self, forward, **parts):
        super().__init__()
        self.body = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *xs):
        return self.body(self, *xs)


def t5(s, x):
    """Attention with learnt biases by distance (Raffel et al. 2020)."""
    batch, n, _ = x.shape
    q, k, v = s.qkv(x).view(batch, n, 3, 2, 2).permute(2, 0, 3, 1, 4)
    far = torch.arange(n)[None] - torch.arange(n)[:, None]
    bias = s.far(far.abs().clamp(max=2)).permute(2, 0, 1).unsqueeze(0)
    scores = q @ k.transpose(-1, -2) + bias
    return (scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, n, 4).mean(1)


def swin(s, x):
    """Attention in windows that are moved along (Liu et al. 2021)."""
    batch = x.shape[0]
    moved = torch.roll(x, (-1, -1), (1, 2))
    w = moved.view(batch, 2, 2, 2, 2, 4).permute(0, 1, 3, 2, 4, 5).reshape(-1, 4, 4)
    q, k, v = s.qkv(w).reshape(-1, 4, 3, 2, 2).permute(2, 0, 3, 1, 4)
    scores = q @ k.transpose(-2, -1)
    scores = (scores.view(-1, 4, 2, 4, 4) + s.apart.unsqueeze(1).unsqueeze(0)).view(-1, 2, 4, 4)
    w = (scores.softmax(-1) @ v).transpose(1, 2).reshape(-1, 4, 4)
    w = w.view(batch, 2, 2, 2, 2, 4).permute(0, 1, 3, 2, 4, 5).reshape(batch, 4, 4, 4)
    return (x + torch.roll(w, (1, 1), (1, 2))).mean((1, 2))


def capsules(s, x):
    """Routing by agreement (Sabour et al. 2017)."""
    u = torch.einsum("bip,icqp->bicq", x, s.w)
    logits = torch.zeros(x.shape[0], 3, 2, dtype=x.dtype)
    for _ in range(2):
        v = (logits.softmax(-1).unsqueeze(-1) * u).sum(1)
        square = (v**2).sum(-1, keepdim=True)
        v = square / (1 + square) * v / torch.sqrt(square + 1e-8)
        logits = logits + (u * v.unsqueeze(1)).sum(-1)
    return v.norm(dim=-1)


def scan(s, u):
    """A selective state space, step by step (Gu and Dao 2023)."""
    x, gate = s.inward(u).chunk(2, -1)
    step, b, c = s.select(x).split([1, 2, 2], -1)
    step, decay = F.softplus(step), -torch.exp(s.decay)
    h, ys = torch.zeros(u.shape[0], 3, 2, dtype=u.dtype), []
    for t in range(u.shape[1]):
        h = torch.exp(step[:, t].unsqueeze(-1) * decay) * h
        h = h + step[:, t].unsqueeze(-1) * b[:, t].unsqueeze(1) * x[:, t].unsqueeze(-1)
        ys.append((h * c[:, t].unsqueeze(1)).sum(-1))
    return (torch.stack(ys, 1) * F.silu(gate)).mean(1)


def experts(s, x):
    """Two experts of three for each sample (Shazeer et al. 2017)."""
    scores = s.gate(x)
    least = scores.topk(2, -1)[0][:, -1:]
    share = scores.masked_fill(scores < least, float("-inf")).softmax(-1)
    return (share.unsqueeze(-1) * torch.stack([each(x) for each in s.experts], 1)).sum(1)


def set_attention(s, x):
    """Pooling by attention, its heads among the samples (Lee et al. 2019)."""
    q = s.seed.repeat(x.size(0), 1, 1)
    q_, k_, v_ = (torch.cat(t.split(2, 2), 0) for t in (q, s.k(x), s.v(x)))
    weights = torch.softmax(q_.bmm(k_.transpose(1, 2)) / math.sqrt(4), 2)
    return torch.cat((q_ + weights.bmm(v_)).split(q.size(0), 0), 2).squeeze(1)


def messages(s, x):
    """A step of message passing along the edges of one graph (Battaglia et al. 2016)."""
    along = torch.relu(s.edge(torch.cat([x[:, s.start], x[:, s.end]], -1)))
    arrived = torch.zeros(x.shape[0], 3, 2, dtype=x.dtype).index_add(1, s.end, along)
    return s.node(torch.cat([x, arrived], -1))


def flow_step(s, x):
    """Two steps of Runge and Kutta of a neural differential equation (Chen et al. 2018)."""
    for at in range(2):
        t = torch.full_like(x[:, :1], 0.5 * at)
        k1 = s.field(torch.cat([x, t], 1))
        k2 = s.field(torch.cat([x + 0.25 * k1, t + 0.25], 1))
        x = x + 0.5 * k2
    return x


def models():
    torch.manual_seed(0)
    apart = torch.zeros(4, 4, 4)
    apart[1:, :2, 2:] = apart[1:, 2:, :2] = -100.0
    moves = Built(swin, qkv=nn.Linear(4, 12))
    moves.register_buffer("apart", apart)
    edges = Built(messages, edge=nn.Linear(4, 2), node=nn.Linear(4, 2))
    edges.register_buffer("start", torch.tensor([0, 1, 2, 0]))
    edges.register_buffer("end", torch.tensor([1, 2, 0, 2]))
    return {
        "T5": (Built(t5, qkv=nn.Linear(4, 12, bias=False), far=nn.Embedding(3, 2)), (5, 4)),
        "Swin": (moves, (4, 4, 4)),
        "capsules": (Built(capsules, w=nn.Parameter(torch.randn(3, 2, 2, 2))), (3, 2)),
        "state space": (
            Built(scan, inward=nn.Linear(2, 6), select=nn.Linear(3, 5),
                  decay=nn.Parameter(torch.randn(3, 2))), (3, 2)),
        "experts": (
            Built(experts, gate=nn.Linear(3, 3),
                  experts=nn.ModuleList(nn.Linear(3, 2) for _ in range(3))), (3,)),
        "set transformer": (
            Built(set_attention, seed=nn.Parameter(torch.randn(1, 1, 4)),
                  k=nn.Linear(3, 4, bias=False), v=nn.Linear(3, 4)), (5, 3)),
        "messages": (edges, (3, 2)),
        "Runge-Kutta": (
            Built(flow_step, field=nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))),
            (2,)),
    }  # fmt: skip


@pytest.mark.parametrize("name", models())
def test_a_published_model(name):
    module, shape = models()[name]
    module = module.double().eval()
    X = np.random.default_rng(0).normal(size=(4, *shape))
    net, params = pb.from_torch(module, loss=nn.MSELoss(), example=X[:1])
    output = module(torch.from_numpy(X))
    np.testing.assert_allclose(net.predict(params, X), output.detach().numpy(), atol=1e-10)

    Y = np.zeros(output.shape)
    value, grads = net.value_and_grad(params, X, Y)
    (output**2).mean().backward()
    for parameter, of in module.named_parameters():
        np.testing.assert_allclose(grads[parameter], of.grad.numpy(), atol=1e-9)

    namespace = {}
    exec(compile(pb.derive(net).code("numpy"), "derived", "exec"), namespace)  # noqa: S102
    again, _ = namespace["value_and_grad"](params, X, Y)
    np.testing.assert_allclose(again, value, rtol=1e-10)

    J = pb.jacobian(net, params, X, wrt="input").dense()
    one = torch.autograd.functional.jacobian(lambda x: module(x[None])[0], torch.from_numpy(X[2]))
    np.testing.assert_allclose(J[2].reshape(-1), one.numpy().reshape(-1), atol=1e-9)
    trained = pb.fit(net, X, Y, params, epochs=1, progress=False, engine="numpy").params
    assert net.loss(trained, X, Y) < value
