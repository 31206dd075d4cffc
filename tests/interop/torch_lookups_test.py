"""Look-ups, masks, maxima and detached values: value and every gradient are torch's."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch_modules import check_same

import pullback as pb
from pullback.errors import ConversionError

IDS = torch.tensor([[0, 3, 2, 1], [4, 4, 0, 2], [1, 2, 3, 4]])
TOKENS = torch.randn(3, 4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
ROW = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


class Tables(nn.Module):
    """Tables, layers and masks, and any way to use them."""

    def __init__(self, how):
        super().__init__()
        self.words, self.places = nn.Embedding(6, 2, padding_idx=0), nn.Embedding(4, 2)
        self.a, self.b, self.row, self.how = nn.Linear(2, 3), nn.Linear(2, 3), nn.Linear(4, 5), how
        self.register_buffer("below", torch.tril(torch.ones(4, 4)))
        self.register_buffer("seen", torch.tril(torch.ones(4, 4)).bool())

    def forward(self, *xs):
        return self.how(self, *xs)


def scores(m, x):
    return m.a(x) @ m.b(x).transpose(1, 2)


def context(m, ids):
    found = []
    for _ in range(2):
        found.append(m.words(ids))
        ids = torch.roll(ids, 1, 1)
        ids[:, 0] = 5
    return torch.cat(found, -1)


def without_gradient(m, x):
    with torch.no_grad():
        scale = m.row(x).tanh()
    return m.row(x) * scale.detach()


INF = float("-inf")
WAYS = {
    "rows": (lambda m, x: m.words(x), IDS),
    "one a sample": (lambda m, x: m.words(x), IDS[:, 1]),
    "of a column": (lambda m, x: m.words(x[:, 2]), IDS),
    "moved along, some replaced": (context, IDS),
    "with their places": (lambda m, x: m.a(m.words(x) + m.places(torch.arange(x.shape[1]))), IDS),
    "with numbers": (lambda m, x, y: torch.cat([m.words(x), y], 1), (IDS[:, 0], ROW)),
    "below the diagonal": (
        lambda m, x: scores(m, x).masked_fill(m.below[:4, :4] == 0, INF).softmax(-1) @ x, TOKENS,
    ),
    "where it is seen": (
        lambda m, x: torch.where(m.seen, scores(m, x), INF).softmax(-1) @ x, TOKENS,
    ),
    "not where it is not": (
        lambda m, x: scores(m, x).masked_fill(~m.seen, INF).softmax(-1) @ x, TOKENS,
    ),
    "a triangle made": (
        lambda m, x: scores(m, x).masked_fill(torch.ones(4, 4).triu(1) == 1, INF).softmax(-1) @ x,
        TOKENS,
    ),
    "causal": (
        lambda m, x: F.scaled_dot_product_attention(m.a(x), m.b(x), x, is_causal=True), TOKENS,
    ),
    "attention where it is seen": (
        lambda m, x: F.scaled_dot_product_attention(m.a(x), m.b(x), x, attn_mask=m.seen), TOKENS,
    ),
    "attention with numbers": (
        lambda m, x: F.scaled_dot_product_attention(m.a(x), m.b(x), x, attn_mask=m.below), TOKENS,
    ),
    "another number": (lambda m, x: m.row(x).masked_fill(m.row(x) > 0, 2.0), ROW),
    "the largest": (lambda m, x: m.row(x).max(1).values, ROW),
    "the smallest": (lambda m, x: m.row(x).min(dim=1, keepdim=True)[0], ROW),
    "the largest of windows": (
        lambda m, x: F.max_pool1d(m.a(x).relu(), 2, 1), TOKENS,
    ),
    "the largest, as many as asked": (lambda m, x: F.adaptive_max_pool1d(m.a(x), 2), TOKENS),
    "held": (lambda m, x: m.row(x) + m.row(x.sin()).detach(), ROW),
    "straight through": (lambda m, x: (h := m.row(x)) + (torch.sign(h) - h).detach(), ROW),
    "without a gradient": (without_gradient, ROW),
}  # fmt: skip


@pytest.mark.parametrize("name", WAYS)
def test_value_and_gradients_are_torchs(name):
    how, example = WAYS[name]
    torch.manual_seed(0)
    check_same(Tables(how).double(), example)


def test_whole_numbers_that_look_nothing_up_are_real():
    module = Tables(lambda m, x: m.row(x.float() / 255))
    images = np.array([[0, 255, 3, 4]], np.uint8)
    net, params = pb.from_torch(module, nn.MSELoss(), example=images)
    assert net.declared == "features"
    expected = module(torch.from_numpy(images)).detach().numpy()
    assert np.allclose(net.predict(params, images.astype(np.float32)), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("how", "example", "words"),
    [
        (lambda m, x: scores(m, x).masked_fill(~m.seen, INF).exp(), TOKENS, "outside of a softmax"),
        (lambda m, x: m.words((x + 1).clamp(max=5)), IDS, "no whole ones of an input"),
        (lambda m, x: m.row(x)[:, m.row(x).argmax(1)], ROW, "picks entries by a tensor"),
    ],
)
def test_what_is_not_read_is_named(how, example, words):
    with pytest.raises(ConversionError, match=words):
        pb.from_torch(Tables(how).double(), nn.MSELoss(), example=example)
