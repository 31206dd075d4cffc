"""Complex values of a module, as two real ones: Fourier layers and rotations."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import pullback as pb

TOKENS = np.random.default_rng(0).normal(size=(3, 8, 4))


def read(module, X=TOKENS):
    """The network; on samples that were not compared its output is torch's."""
    module = module.double().eval()
    net, params = pb.from_torch(module, loss=nn.MSELoss(), example=X)
    X = X[::-1].copy()
    expected = module(torch.from_numpy(X)).detach().numpy()
    np.testing.assert_allclose(net.predict(params, X), expected, atol=1e-11)
    return net, params


class Applied(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.p, self.function = nn.Parameter(torch.tensor(1.3)), function

    def forward(self, x):
        return self.function(self.p * x)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: torch.fft.fft(torch.fft.fft(x, dim=-1), dim=-2).real,
        lambda x: torch.fft.irfft(torch.fft.rfft(x, dim=1) * 2, n=8, dim=1),
        lambda x: torch.fft.irfft(torch.fft.rfft(x, dim=1, n=9), n=9, dim=1),
        lambda x: torch.fft.rfft(x, dim=1, norm="ortho").abs(),
        lambda x: (lambda z: z.real + z.imag**2)(torch.fft.ifft(x, dim=1, norm="forward")),
        lambda x: torch.fft.irfft2(torch.fft.rfft2(x)[:, :3], s=(8, 4)),
        lambda x: torch.fft.ifftn(torch.fft.fftn(x, dim=(1, 2)) * 3, dim=(1, 2)).real,
    ],
    ids=["fft of fft", "and back", "padded", "ortho", "ifft", "two axes", "n axes"],
)
def test_transforms(function):
    read(Applied(function))


class SpectralConvolution(nn.Module):
    """A Fourier layer (Li et al. 2021): the lowest frequencies are mixed by complex weights."""

    def __init__(self):
        super().__init__()
        self.w, self.skip = nn.Parameter(torch.rand(4, 4, 3, 2) / 4), nn.Conv1d(4, 4, 1)

    def forward(self, x):
        x = x.permute(0, 2, 1)
        found = torch.fft.rfft(x)
        out = torch.zeros(x.shape[0], 4, found.size(-1), dtype=found.dtype)
        w = torch.view_as_complex(self.w)
        out[:, :, :3] = torch.einsum("bix,iox->box", found[:, :, :3], w)
        return F.gelu(torch.fft.irfft(out, n=x.size(-1)) + self.skip(x)).permute(0, 2, 1)


class Rotated(nn.Module):
    """Rotary positions as complex numbers (Su et al. 2021)."""

    def __init__(self):
        super().__init__()
        angle = torch.outer(torch.arange(8.0), torch.tensor([1.0, 0.01]))
        self.turns = torch.polar(torch.ones_like(angle), angle)

    def forward(self, x):
        pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2))
        return torch.view_as_real(pairs * self.turns[: x.shape[1]]).flatten(2)


@pytest.mark.parametrize("module", [SpectralConvolution(), Rotated()], ids=["Fourier", "rotary"])
def test_layers(module):
    read(module)


def test_what_is_not_read_says_so():
    with pytest.raises(pb.errors.ConversionError, match="sums, products and FFTs"):
        pb.from_torch(Applied(lambda x: torch.fft.fft(x).log().real), nn.MSELoss(), example=TOKENS)
