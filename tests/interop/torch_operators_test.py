"""Operators one by one: ``from_torch`` compares values and gradients of each with torch."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import pullback as pb

TOKENS, IMAGE = (3, 4, 6), (2, 4, 6, 6)


class Applied(nn.Module):
    """A function of p x, with the modules that it needs."""

    def __init__(self, function, *parts):
        super().__init__()
        self.p, self.function = nn.Parameter(torch.tensor(1.3)), function
        self.parts = nn.ModuleList(parts)

    def forward(self, x):
        return self.function(self.p * x, *self.parts)


def drawn(*shape):
    return torch.from_numpy(np.random.default_rng(0).normal(size=shape))


def read(module, *xs):
    """The network, whose output on samples that were not compared is torch's."""
    module = module.double().eval()
    net, params = pb.from_torch(module, loss=nn.MSELoss(), example=xs if xs[1:] else xs[0])
    given = tuple(x.flip(0).numpy() for x in xs)
    found = net.predict(params, given if xs[1:] else given[0])
    expected = module(*(x.flip(0) for x in xs)).detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-9, rtol=1e-9)
    return net, params


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.std(-1),
        lambda x: torch.var_mean(x, dim=1, correction=0)[0],
        lambda x: torch.diagonal(x[..., :4], dim1=-2, dim2=-1),
        lambda x: torch.diag_embed(x[:, 0], offset=1),
        lambda x: torch.einsum("...ij,...kj->...ik", x, x),
        lambda x: torch.einsum("bii->bi", x[..., :4]),
        lambda x: torch.baddbmm(x @ x.mT, x, x.mT, beta=0.5, alpha=2.0),
        lambda x: torch.cdist(x, 2 * x + 1),
        lambda x: x.norm(p=3, dim=-1),
        lambda x: torch.cumprod(x, 1),
        lambda x: x.sort(1, descending=True).values,
        lambda x: torch.lerp(x, x**2, 0.3) + torch.addcdiv(x, x, x.abs() + 1, value=0.3),
        lambda x: x * (x > x.mean(-1, keepdim=True)),
        lambda x: x * ((x > 0).any(-1, keepdim=True) | (x < -2).all(1, keepdim=True)),
        lambda x: x * F.one_hot(x.argmax(-1), 6),
        lambda x: x[:, [0, 1, 2], [3, 2, 1]],
        lambda x: x[:, torch.tensor([True, False, True, False])],
        lambda x: (x @ x.mT)[:, torch.tensor([[0, 1], [2, 3]]), torch.tensor([1, 2])],
        lambda x: torch.cat((x, x.new_zeros(x.shape[0], 1, 6)), 1),
        lambda x: x + torch.arange(x.shape[1])[None, :, None],
        lambda x: x * torch.full_like(x, 0.5),
        lambda x: x.clamp(min=x.mean(-1, keepdim=True)),
        lambda x: torch.asinh(x) + torch.exp2(x / 30) + torch.hypot(x, x + 1),
        lambda x: F.softshrink(x) + F.hardshrink(x) + F.threshold(x, 0.1, 20.0),
        lambda x: torch.diff(x, dim=1),
    ],
    ids=lambda f: str(f.__code__.co_firstlineno),
)
def test_an_operator_of_tokens(function):
    read(Applied(function), drawn(*TOKENS))


@pytest.mark.parametrize(
    "layer",
    [
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.Upsample(size=(9, 5), mode="bilinear", align_corners=True),
        nn.Upsample(scale_factor=1.5, mode="bicubic"),
        nn.Upsample(size=(9, 7)),
        nn.InstanceNorm2d(4, affine=True),
        nn.ChannelShuffle(2),
        nn.Unfold(3, padding=1, stride=2),
        nn.Sequential(nn.Unfold(3, padding=1), nn.Fold((6, 6), 3, padding=1)),
    ],
    ids=str,
)
def test_a_layer_of_images(layer):
    read(nn.Sequential(nn.Conv2d(4, 4, 1), layer), drawn(*IMAGE))


def test_weights_of_a_convolution_that_are_computed():
    def standardised(x, conv):
        weight = conv.weight - conv.weight.mean((1, 2, 3), keepdim=True)
        return F.conv2d(x, weight / (weight.std((1, 2, 3), keepdim=True) + 1e-5), conv.bias)

    read(Applied(standardised, nn.Conv2d(4, 3, 3)), drawn(*IMAGE))


CAUSAL = nn.Transformer.generate_square_subsequent_mask(4).double()
SLOPES = torch.tensor([0.5, 0.25]).view(2, 1, 1).double()


@pytest.mark.parametrize(
    "mask",
    [
        torch.ones(4, 4, dtype=torch.bool).triu(1),
        CAUSAL,
        CAUSAL + torch.arange(16.0).view(4, 4).double(),
        None,
    ],
    ids=["bool", "minus infinity", "both", "in the layer"],
)
def test_masks_of_attention(mask):
    attention = nn.MultiheadAttention(6, 2, batch_first=True)

    def attend(x, attention):
        return attention(x, x, x, attn_mask=mask)[0]

    def encode(x, layer):
        return layer(x, src_mask=CAUSAL)

    layer = nn.TransformerEncoderLayer(6, 2, 8, dropout=0.0, batch_first=True)
    read(Applied(encode, layer) if mask is None else Applied(attend, attention), drawn(*TOKENS))


def test_linear_biases_and_a_padding_mask_that_is_given():
    class Alibi(nn.Module):
        def forward(self, x, padding):
            x = torch.stack((x, x**2), 1)
            away = (torch.arange(4)[None] - torch.arange(4)[:, None]).abs()
            scores = x @ x.mT - away[None] * SLOPES
            scores = scores.masked_fill(padding[:, None, None, :] > 0, float("-inf"))
            return scores.softmax(-1) @ x

    padding = torch.tensor([[0, 0, 0, 1], [0, 0, 1, 1], [0, 0, 0, 0]]).double()
    read(Alibi(), drawn(*TOKENS), padding)


@pytest.mark.parametrize(
    "function",
    [
        lambda x, i: x.gather(1, i[:, None, None].expand(-1, 1, x.shape[-1])).squeeze(1),
        lambda x, i: x[torch.arange(x.shape[0]), i],
        lambda x, i: torch.cat((x.mean(1), F.one_hot(i, 4)), -1),
    ],
    ids=["gather", "of each sample", "one hot"],
)
def test_whole_numbers_pick(function):
    class Picks(nn.Module):
        def forward(self, x, i):
            return function(x, i)

    read(Picks(), drawn(*TOKENS), torch.tensor([0, 3, 1]))


def test_columns_of_one_table_and_a_bias_by_distance():
    class Columns(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.far = nn.Embedding(10, 3), nn.Embedding(5, 1)
            self.register_buffer("first", torch.tensor([0, 4, 7]))

        def forward(self, x):
            words = self.words(x + self.first)
            place = torch.arange(3)
            far = self.far(place[None] - place[:, None] + 2).squeeze(-1)
            return (words @ words.mT + far).softmax(-1) @ words

    _, params = read(Columns(), torch.tensor([[3, 2, 0], [0, 1, 2], [1, 1, 1]]))
    assert "first" not in params


def test_as_many_as_there_are_samples_by_len():
    class Classed(nn.Module):
        def __init__(self):
            super().__init__()
            self.token = nn.Parameter(torch.randn(6))

        def forward(self, x):
            return torch.cat((self.token.expand(len(x), 1, -1), x), 1)

    read(Classed(), drawn(*TOKENS))


def test_a_column_that_looks_beyond_its_table_is_refused_as_torch_does():
    class Tables(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.head = nn.Embedding(7, 3), nn.Linear(6, 2)
            self.register_buffer("starts", torch.tensor([0, 4]))

        def forward(self, x):
            return self.head(self.table(x + self.starts).flatten(1))

    net, params = pb.from_torch(Tables(), nn.CrossEntropyLoss(), example=torch.tensor([[0, 1]]))
    assert net.predict(params, np.array([[6, 2]])).shape == (1, 2)
    with pytest.raises(pb.errors.DataError, match=r"\[0, 1\] is 3; expected .* 0 to 2.*column 1"):
        net.predict(params, np.array([[1, 3]]))
