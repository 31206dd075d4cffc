"""Which engine runs a training."""

from __future__ import annotations

import math
from collections.abc import Callable

from pullback.errors import ConfigError, NotApplicableError, unknown
from pullback.net.network import Network, Parameters
from pullback.train.engine import Engine, NumpyEngine
from pullback.train.jax.engine import JaxEngine
from pullback.train.jax.placement import Hardware
from pullback.train.numba_engine import NumbaEngine
from pullback.train.optim import Optimizer

ENGINES: dict[str, type[Engine]] = {"numpy": NumpyEngine, "numba": NumbaEngine, "jax": JaxEngine}
AUTO = "auto"
# what a step costs the NumPy engine, roughly: its calls, and its arithmetic
_SECONDS_A_STEP, _SECONDS_AN_OPERATION = 1.5e-4, 2e-11
_WORTH_COMPILING = 3.0  # seconds, about as long as compiling takes


def chosen_engine(
    name: str,
    net: Network,
    samples: int | None,
    batch_size: int | None,
    epochs: int,
    hardware: Hardware = Hardware(),  # noqa: B008  frozen
) -> str:
    """The engine of that name; "auto" is "numba" where NumPy would take longer than compiling.

    Where something is said about ``hardware`` it is "jax". It depends on the sizes alone, so that
    equal calls give equal bits. Raises UnknownNameError for an unknown name, ConfigError for
    hardware that another engine than jax does not know.

    >>> from pullback.nn import Linear, SquaredError
    >>> net = Network(Linear(100, 10), SquaredError())
    >>> chosen_engine("auto", net, 1000, 50, epochs=10)
    'numpy'
    >>> chosen_engine("auto", net, 100_000, 50, epochs=100)
    'numba'
    """
    if name not in (*ENGINES, AUTO):
        raise unknown("engine", str(name), [*ENGINES, AUTO])
    if hardware != Hardware():
        if name not in ("jax", AUTO):
            raise ConfigError(
                f"{' and '.join(hardware.given)} need engine='jax', but engine is {name!r}"
            )
        return "jax"
    if name != AUTO:
        return name
    if samples is None:
        return "numba"
    size = min(batch_size or samples, samples)
    weights = sum(math.prod(spec.shape) for spec in net.specs)
    step = _SECONDS_A_STEP + 6 * weights * size * _SECONDS_AN_OPERATION
    return "numba" if epochs * (samples / size) * step > _WORTH_COMPILING else "numpy"


def started(
    name: str,
    automatic: bool,
    net: Network,
    start: Parameters,
    optimizer: Optimizer,
    seed: int,
    hardware: Hardware,
    note: Callable[[str], None],
) -> tuple[str, Engine]:
    """The engine of that name, ready to train, and its name; noise is drawn from ``seed``.

    Where ``automatic`` chose it and it cannot run this network, or be compiled, NumPy does, and
    ``note`` is told. Raises NotApplicableError where it was asked for and cannot.
    """
    if name == "jax":
        return name, JaxEngine(net, start, optimizer, seed, hardware)
    try:
        if name == "numba":
            return name, NumbaEngine(net, start, optimizer)
    except (NotApplicableError, ConfigError) as refusal:
        if not automatic:
            raise
        note(f"engine 'numpy': {str(refusal).partition(':')[0]}")
    return "numpy", NumpyEngine(net, start, optimizer, seed)
