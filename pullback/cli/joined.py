"""Which of several processes a command is."""

from __future__ import annotations

from pullback.errors import ConfigError
from pullback.train.jax.hosts import join_processes


def joined(engine: str, coordinator: str | None, processes: int | None, process: int | None) -> int:
    """The number of this process, once it has joined the others; 0 where it is alone.

    Raises ConfigError for an engine that has no others, and the errors of ``join_processes``.
    """
    if engine == "jax":
        return join_processes(coordinator, processes, process)[0]
    if (coordinator, processes, process) != (None, None, None):
        raise ConfigError(
            f"--coordinator, --processes and --process need --engine jax; the engine is {engine!r}"
        )
    return 0
