"""Which engine runs a training."""

from __future__ import annotations

from pullback.errors import ConfigError, NotApplicableError, unknown
from pullback.net.limit import as_bytes
from pullback.net.network import Network, Parameters
from pullback.train.compiled_engine import CompiledEngine
from pullback.train.engine import Engine, NumpyEngine
from pullback.train.jax.engine import JaxEngine
from pullback.train.jax.placement import Hardware
from pullback.train.optim import Optimizer
from pullback.train.progress import Progress

ENGINES: dict[str, type[Engine]] = {
    "numpy": NumpyEngine,
    "compiled": CompiledEngine,
    "jax": JaxEngine,
}
AUTO = "auto"
OLD = {"numba": "compiled"}  # a name that an engine had before


def chosen_engine(name: str, hardware: Hardware = Hardware()) -> str:  # noqa: B008  frozen
    """The engine of that name; "auto" is "compiled", which compiles in a moment.

    Where something is said about ``hardware`` it is "jax". Raises UnknownNameError for an unknown
    name, ConfigError for hardware that another engine than jax does not know.

    >>> chosen_engine("auto"), chosen_engine("numpy"), chosen_engine("numba")
    ('compiled', 'numpy', 'compiled')
    """
    if name not in (*ENGINES, *OLD, AUTO):
        raise unknown("engine", str(name), [*ENGINES, AUTO])
    if hardware != Hardware():
        if name not in ("jax", AUTO):
            raise ConfigError(
                f"{' and '.join(hardware.given)} need engine='jax', but engine is {name!r}"
            )
        return "jax"
    return "compiled" if name == AUTO else OLD.get(name, name)


def started(
    name: str,
    automatic: bool,
    net: Network,
    start: Parameters,
    optimizer: Optimizer,
    seed: int,
    hardware: Hardware,
    batch_size: int | None,
    bar: Progress,
    limit: int | None = None,
) -> tuple[str, Engine]:
    """The engine of that name, ready to train, and its name; noise is drawn from ``seed``.

    ``batch_size`` is how many samples a step will have, where that is known.

    Where ``automatic`` chose it and it cannot run this network, be compiled or keep below a
    ``limit`` of bytes, NumPy does, and ``bar`` says so; it also says when something is compiled.
    Raises NotApplicableError where it was asked for and cannot, ConfigError where it needs more
    bytes.
    """
    if name == "jax":
        if limit is not None:
            raise ConfigError("memory is for the engines 'numpy' and 'compiled'; jax has its own")
        return name, JaxEngine(net, start, optimizer, seed, hardware)
    try:
        if name == "compiled":
            engine = CompiledEngine(
                net, start, optimizer, seed=seed, batch_size=batch_size, compiling=bar.compiling
            )
            if limit is not None:
                check_room(engine, limit, batch_size)
            return name, engine
    except (NotApplicableError, ConfigError) as refusal:
        if not automatic:
            raise
        bar.note(f"engine 'numpy': {str(refusal).partition(':')[0]}")
    return "numpy", NumpyEngine(net, start, optimizer, seed, limit)


def check_room(engine: CompiledEngine, limit: int, batch_size: int | None) -> None:
    """Raise ConfigError where the compiled engine, which keeps everything, may need more bytes."""
    needed = None if batch_size is None else engine.memory(batch_size)
    if needed is None or needed > limit:
        known = "an unknown number of bytes" if needed is None else as_bytes(needed)
        raise ConfigError(
            f"the compiled engine keeps everything, in {known}: memory is {as_bytes(limit)}; take "
            "engine='numpy', which computes again what does not fit"
        )
