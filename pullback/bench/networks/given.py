"""A network from a person's file, whatever library it is of."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from pullback.bench.absent import AbsentError
from pullback.bench.networks import JaxOutput
from pullback.errors import ConversionError, NotApplicableError
from pullback.interop.jax import to_jax
from pullback.interop.recipe import module_recipe
from pullback.interop.torch.tensors import is_module
from pullback.interop.torch.write import to_torch
from pullback.net.network import Network
from pullback.net.recipe import Recipe, from_file
from pullback.nn import MSELoss


class OwnNetwork:
    """The network of ``file.py:name`` or of a TOML file; without a loss it gets ``MSELoss``.

    A torch module is read by a sample of these ``sizes``. Raises the errors of ``from_file``.
    """

    def __init__(self, source: str, sizes: tuple[int, ...] | None) -> None:
        self.title = source
        self._module: Any = None
        sample = None if sizes is None else np.zeros(sizes, np.float32)

        def foreign(found: Any) -> Recipe | None:
            self._module = found if is_module(found) else None
            return module_recipe(found, sample)

        self._recipe = from_file(source, foreign)

    @cached_property
    def net(self) -> Network:
        return self._recipe.network(MSELoss())

    def torch_module(self) -> Any:
        if self._module is not None:
            return self._module.train()
        try:
            return to_torch(self.net, self.net.init(seed=0, dtype=np.float32)).train()
        except ConversionError as reason:
            raise AbsentError(str(reason)) from None

    def jax_output(self, training: bool) -> JaxOutput:

        try:
            program = to_jax(self.net)
        except NotApplicableError as reason:
            raise AbsentError(str(reason)) from None
        if training and self.net.updates:
            raise AbsentError("it has running statistics, which a translated network does not keep")
        return lambda params, x: (program.predict(params, x), {})
