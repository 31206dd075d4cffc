"""Examples: one batch of floats in any form, or an error that says what came."""

import numpy as np
import pytest
import torch
from torch import nn
from torch_modules import made

import pullback as pb
from pullback.errors import ConversionError, PullbackError

EXAMPLES = {
    "a tuple": ((torch.ones(2, 4), torch.ones(2, 4)), ConversionError, "a tuple of 2; .*one input"),
    "a list": ([np.ones((2, 4)), np.ones((2, 4))], ConversionError, "a list of 2"),
    "a dict": ({"x": torch.ones(2, 4)}, ConversionError, "a dict of 1"),
    "complex": (torch.ones(2, 4, dtype=torch.complex64), TypeError, "complex64"),
    "bools": (np.ones((2, 4), bool), TypeError, "bool"),
    "text": ("abcd", TypeError, "expected floats"),
    "ragged": ([[1.0, 2.0], [3.0]], PullbackError, "cannot be read as an array"),
    "one sample": (np.ones(4), ValueError, r"shape \(4,\); expected .*example\[None, :\]"),
    "a number": (1.0, ValueError, r"shape \(\)"),
    "no samples": (np.ones((0, 4)), PullbackError, "empty"),
    "nan": (np.full((2, 4), np.nan), PullbackError, "NaN"),
    "meta": (torch.ones(2, 4, device="meta"), PullbackError, "cannot be read"),
    "other width": (np.ones((2, 9)), ConversionError, "cannot run the example: it takes 4 f"),
}  # fmt: skip


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_that_are_no_batch_of_floats(name):
    example, kind, words = EXAMPLES[name]
    with pytest.raises(PullbackError, match=words) as caught:
        pb.from_torch(made("names"), nn.MSELoss(), example=example)
    assert isinstance(caught.value, kind)


@pytest.mark.parametrize(
    "example",
    [
        np.ones((1, 4), np.float16), torch.ones(3, 4, dtype=torch.bfloat16), [[0.5] * 4],
        np.ones((3, 8))[::-1, ::2], (torch.ones(2, 4),), torch.ones(100_000, 4),
    ],
    ids=["half", "bfloat16", "list", "strides", "a tuple of one", "many"],
)  # fmt: skip
def test_examples_of_any_float(example):
    net, _ = pb.from_torch(made("names"), nn.MSELoss(), example=example)
    assert net.n_in == 4
