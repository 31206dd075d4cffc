"""The parameters that go out with a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pullback.interop.rows import Array
from pullback.interop.torch.tensors import as_given
from pullback.net.checks import checked_parameters
from pullback.net.network import Network


def of_one_dtype(net: Network, params: Mapping[str, Any]) -> dict[str, Array]:
    """The parameters of a network in float32, or in float64 if one of them is.

    Raises the errors of parameters that do not fit the network.

    >>> import pullback as pb
    >>> net = pb.Network(pb.Linear(2, 1), loss=pb.MSELoss())
    >>> of_one_dtype(net, {"weight": np.ones((1, 2), np.float32), "bias": np.ones(1)})["weight"]
    array([[1., 1.]])
    """
    held = checked_parameters(net, params, np.float64)
    single = all(np.asarray(as_given(params[name])).dtype == np.float32 for name in held)
    return {name: value.astype(np.float32) for name, value in held.items()} if single else held
