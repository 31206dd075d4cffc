"""How a copy of a module runs beside a network: in double precision, with the same noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from pullback.interop.rows import Array
from pullback.nn.noise import NoiseLaw, NormalNoise, UniformNoise


def known(law: NoiseLaw, shape: tuple[int, ...]) -> Array:
    """The noise of a shape that both are run with: the same entries, whichever call draws them."""
    return law.draw(shape, np.random.default_rng(0), np.float64)


@contextmanager
def in_double(torch: Any) -> Iterator[None]:
    """What a module makes of single precision inside is of double precision too, its noise known.

    Draws that are independent and of one shape may be equal: which is which no law tells.
    """
    double = dict.fromkeys((torch.float32, torch.float16, torch.bfloat16), torch.float64)
    double |= {torch.complex64: torch.complex128}
    tensor = torch.Tensor
    draws = _draws(torch)

    class Double(torch.overrides.TorchFunctionMode):
        def __torch_function__(
            self, call: Any, types: Any, args: Any = (), options: Any = None
        ) -> Any:
            held = [double.get(a, a) if isinstance(a, torch.dtype) else a for a in args]
            named = {
                k: double.get(v, v) if isinstance(v, torch.dtype) else v
                for k, v in (options or {}).items()
            }
            if call in draws:
                drawn = draws[call](*held, **named)
                return call(*held, **named) if drawn is None else drawn
            if call in (tensor.float, tensor.half, tensor.bfloat16):
                call = tensor.double
            return call(*held, **named)

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with Double():
            yield
    finally:
        torch.set_default_dtype(before)


def _draws(torch: Any) -> dict[Any, Callable[..., Any]]:
    """What stands for torch's functions that draw; they give None for what is drawn as ever."""

    def like(law: NoiseLaw) -> Callable[..., Any]:
        def drawn(x: Any, *_: Any, **__: Any) -> Any:
            return torch.from_numpy(known(law, tuple(x.shape))).to(x.device)

        return drawn

    def of(law: NoiseLaw) -> Callable[..., Any]:
        def drawn(*sizes: Any, size: Any = None, device: Any = None, **_: Any) -> Any:
            given = sizes or (size,)
            shape = given[0] if len(given) == 1 and not isinstance(given[0], int) else given
            return torch.from_numpy(known(law, tuple(shape))).to(device)

        return drawn

    def normal(mean: Any, std: Any = 1.0, size: Any = None, **_: Any) -> Any:
        given = [each for each in (mean, std) if isinstance(each, torch.Tensor)]
        shape = tuple(given[0].shape) if given else size
        if shape is None:
            return None
        mean, std = (e.detach() if isinstance(e, torch.Tensor) else e for e in (mean, std))
        return mean + std * torch.from_numpy(known(NormalNoise(), tuple(shape)))

    def bernoulli(x: Any, p: Any = None, **_: Any) -> Any:
        noise = torch.from_numpy(known(UniformNoise(), tuple(x.shape)))
        return (noise < (x.detach() if p is None else p)).to(x.dtype)

    return {
        torch.randn_like: like(NormalNoise()),
        torch.rand_like: like(UniformNoise()),
        torch.randn: of(NormalNoise()),
        torch.rand: of(UniformNoise()),
        torch.normal: normal,
        torch.bernoulli: bernoulli,
        torch.Tensor.bernoulli: bernoulli,
    }
