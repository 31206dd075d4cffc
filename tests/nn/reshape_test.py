"""Axes put together and apart, norms of groups, and copies are torch's."""

import numpy as np
import pytest
from by_torch import beside_torch
from convolution_test import built

import pullback as pb
from pullback.errors import ConfigError, ShapeError, UnknownNameError

torch = pytest.importorskip("torch")
X = np.arange(48.0).reshape(2, 2, 3, 4)
NAMES = "channels=2 height=3 width=4"


@pytest.mark.parametrize("dims", [(), (2,), (1, 2), (-2, -1), (2, 2)])
def test_flatten(dims):
    found = built(pb.Flatten(*dims), NAMES).predict({}, X)
    np.testing.assert_array_equal(found, torch.nn.Flatten(*dims)(torch.tensor(X)).numpy())


@pytest.mark.parametrize(("dim", "sizes"), [(3, (2, 2)), (-1, (-1, 2)), (1, (2, 1)), (2, (3,))])
def test_unflatten(dim, sizes):
    found = built(pb.Unflatten(dim, sizes), NAMES).predict({}, X)
    expected = torch.nn.Unflatten(dim, sizes)(torch.tensor(X)).numpy()
    np.testing.assert_array_equal(found, expected)


def test_put_together_and_apart_nothing_is_computed():
    net = built(pb.Sequential(pb.Flatten(), pb.Unflatten(1, (2, 3, 4))), NAMES)
    np.testing.assert_array_equal(net.predict({}, X), X)


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 2)])
@pytest.mark.parametrize("options", [{}, {"affine": False}, {"eps": 0.5}])
def test_group_norm(shape, options):
    for groups in (1, 2, 4):
        beside_torch(pb.GroupNorm(groups, 4, **options),
                     torch.nn.GroupNorm(groups, 4, **options), shape)  # fmt: skip


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_upsample(factor):
    beside_torch(pb.Upsample(factor), torch.nn.Upsample(scale_factor=factor), (2, 3))
    beside_torch(pb.Upsample((factor, 2)), torch.nn.Upsample(scale_factor=(factor, 2)), (2, 3, 4))


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: pb.GroupNorm(3, 4), ConfigError, "do not divide"),
        (lambda: built(pb.GroupNorm(2, 4), NAMES), ShapeError, "takes 4 channels"),
        (lambda: pb.Upsample(2, mode="bilinear"), UnknownNameError, "nearest"),
        (lambda: built(pb.Upsample(2), "features"), ShapeError, "after the channels"),
        (lambda: pb.Flatten(0), ConfigError, "the batch"),
        (lambda: pb.Unflatten(1, (-1, -1)), ConfigError, "one may be -1"),
        (lambda: built(pb.Flatten(4), NAMES), ShapeError, "there is no axis 4"),
        (lambda: built(pb.Flatten(3, 1), NAMES), ShapeError, "behind end_dim"),
        (lambda: built(pb.Flatten(), "channels=2 height"), ShapeError, r"lengths of \(height\)"),
        (lambda: built(pb.Unflatten(3, (3, -1)), NAMES), ShapeError, "not as long"),
        (lambda: built(pb.Unflatten(3, (3, 2)), NAMES), ShapeError, "not as long"),
    ],
)
def test_what_does_not_fit_is_refused(make, error, says):
    with pytest.raises(error, match=says):
        make()
