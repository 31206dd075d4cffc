"""Convolutions, pooling and everything that moves numbers: value and every gradient are torch's."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch_modules import check_same


class With(nn.Module):
    """Layers over images and over tokens, and any way to use them."""

    def __init__(self, how):
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3, padding=1)
        self.a, self.b, self.how = nn.Linear(4, 6), nn.Linear(6, 4), how

    def forward(self, x):
        return self.how(self, x)


IMAGES = (2, 5, 4)
LAYERS = {
    "conv": (lambda: nn.Conv2d(2, 3, 3), IMAGES),
    "conv without bias": (lambda: nn.Conv2d(2, 3, (3, 2), bias=False), IMAGES),
    "stride and padding": (lambda: nn.Conv2d(2, 3, 3, stride=2, padding=1), IMAGES),
    "dilation": (lambda: nn.Conv2d(2, 3, 2, dilation=(2, 1), padding=(2, 0)), IMAGES),
    "groups": (lambda: nn.Conv2d(4, 6, 3, groups=2, padding=1), (4, 4, 3)),
    "depthwise": (lambda: nn.Conv2d(3, 3, 3, groups=3, padding="same"), (3, 4, 3)),
    "circular": (lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"), IMAGES),
    "reflect": (lambda: nn.Conv1d(2, 3, 3, padding=2, padding_mode="reflect"), (2, 5)),
    "replicate": (lambda: nn.Conv1d(2, 3, 3, padding=1, padding_mode="replicate"), (2, 5)),
    "one channel": (lambda: nn.Conv1d(1, 3, 3), (1, 5)),
    "three axes": (lambda: nn.Conv3d(1, 2, 2), (1, 3, 2, 3)),
    "transposed": (lambda: nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1, output_padding=1),
                   (2, 3, 2)),
    "transposed in groups": (lambda: nn.ConvTranspose2d(4, 6, 2, groups=2), (4, 2, 3)),
    "a norm over groups": (lambda: nn.GroupNorm(2, 4), (4, 2, 3)),
    "one group": (lambda: nn.GroupNorm(1, 3, affine=False), (3, 2)),
    "a norm of each channel": (lambda: nn.GroupNorm(3, 3, eps=1e-2), (3, 2, 2)),
    "means": (lambda: nn.AvgPool2d(2), IMAGES),
    "means with padding": (lambda: nn.AvgPool2d(3, 2, 1), IMAGES),
    "means of what is there": (lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False), IMAGES),
    "means to the end": (lambda: nn.AvgPool2d(2, ceil_mode=True), IMAGES),
    "as many as asked": (lambda: nn.AdaptiveAvgPool2d((3, 3)), IMAGES),
    "one for all": (lambda: nn.AdaptiveAvgPool2d(1), IMAGES),
    "one axis as it is": (lambda: nn.AdaptiveAvgPool2d((None, 2)), IMAGES),
    "twice as fine": (lambda: nn.Upsample(scale_factor=2), IMAGES),
    "a finer grid": (lambda: nn.Upsample(size=(7, 6)), IMAGES),
    "pixels of channels": (lambda: nn.PixelShuffle(2), (4, 2, 3)),
    "channels of pixels": (lambda: nn.PixelUnshuffle(2), (1, 4, 2)),
}  # fmt: skip
WAYS = {
    "a network": (lambda m, x: m.a(F.avg_pool2d(m.conv(x).relu(), 2, (1, 2)).flatten(2)),
                  (2, 3, 4)),
    "zeros around": (lambda m, x: F.pad(m.conv(x), (1, 0, 2, 1)), IMAGES),
    "a number around": (lambda m, x: F.pad(m.conv(x), (1, -1), value=1.5), IMAGES),
    "moved along": (lambda m, x: torch.roll(m.conv(x), (1, -2), (2, 3)), IMAGES),
    "turned round": (lambda m, x: m.conv(x).flip(2, 3), IMAGES),
    "every other": (lambda m, x: m.conv(x)[..., 1::2], IMAGES),
    "by a list": (lambda m, x: m.a(x)[:, [0, 3, 4, 1]], (4,)),
    "tiles": (lambda m, x: m.a(x).repeat(1, 2), (4,)),
    "each again": (lambda m, x: m.a(x).repeat_interleave(2, dim=1), (4,)),
    "sums so far": (lambda m, x: m.a(x).cumsum(1), (4,)),
    "windows": (lambda m, x: m.a(x).unfold(1, 3, 2), (4,)),
    "axes moved": (lambda m, x: m.a(x).movedim(1, 2), (3, 4)),
    "tokens as samples": (lambda m, x: m.b(m.a(x.view(-1, 4)).tanh()).view(-1, 3, 4), (3, 4)),
    "samples behind": (lambda m, x: m.a(x.transpose(0, 1)).tanh().transpose(0, 1), (3, 4)),
    "other groups": (lambda m, x: m.a(x).reshape(-1, 2, 9).softmax(-1), (3, 4)),
    "uneven groups": (lambda m, x: m.a(x).reshape(-1, 4, 3).cos(), (2, 4)),
    "heads of one axis": (lambda m, x: m.a(x).reshape(x.size(0) * 2, 3).tanh().view(-1, 6), (4,)),
    "normalised": (lambda m, x: F.normalize(m.a(x), dim=-1), (4,)),
    "lengths": (lambda m, x: m.a(x) * m.a(x).norm(dim=1, keepdim=True), (4,)),
    "cosines": (lambda m, x: F.cosine_similarity(m.a(x), m.a(x.sin()), dim=-1), (3, 4)),
}  # fmt: skip
MODULES = {
    **LAYERS,
    **{name: (lambda how=how: With(how), shape) for name, (how, shape) in WAYS.items()},
}


@pytest.mark.parametrize("name", MODULES)
def test_value_and_gradients_are_torchs(name):
    make, shape = MODULES[name]
    torch.manual_seed(0)
    module = nn.Sequential(nn.PReLU(), make())  # it has a parameter, whatever comes after it
    check_same(module.double(), torch.randn(3, *shape, dtype=torch.float64))


@pytest.mark.parametrize("first", [False, True])
def test_a_transformer_encoder(first):
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(4, 2, 6, batch_first=True, norm_first=first)
    module = nn.Sequential(nn.TransformerEncoder(layer, 1, enable_nested_tensor=False))
    check_same(module.double().eval(), torch.randn(2, 3, 4, dtype=torch.float64))
