"""Where the arrays of a training lie: batches over devices, the weights on each of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from typing import Any

import numpy as np

from pullback.errors import ConfigError, require, shown, unknown, whole
from pullback.interop.extras import library
from pullback.ir import Axes, Axis
from pullback.net.inputs import BATCH
from pullback.net.program import Array
from pullback.train.jax.hosts import Hosts
from pullback.train.member import Member

PRECISIONS = ("float32", "bfloat16")
_AXIS = "batch"  # the only axis of the mesh

Function = Callable[..., Any]


@dataclass(frozen=True)
class Filled:
    """A batch on all devices: the samples in this process's places, of which ``own`` are real.

    The places after those repeat a sample. ``samples`` says which of the places of all processes
    hold real ones.
    """

    places: Array
    own: int
    samples: Array

    def weighted(self, own: Mapping[str, Array]) -> dict[str, Array]:
        """This process's arrays with a weight for each sample: 0 where it only fills up."""
        real = np.arange(len(self.places)) < self.own
        weight = own.get("sample_weight", np.ones(len(real), own["target"].dtype))
        return {**own, "sample_weight": weight * real}


@dataclass(frozen=True)
class Placement:
    """Devices in a row, a mesh with the axis "batch", and what of a training lies on each.

    With ``split`` the weights and the optimiser's memory are cut up over them between the steps.
    """

    mesh: Any
    split: bool = False

    @property
    def size(self) -> int:
        """How many devices there are, over all processes."""
        return int(self.mesh.size)

    @cached_property
    def member(self) -> Member:
        """Which of the processes that train together this one is."""
        jax = library("jax", "jax")
        process, processes = jax.process_index(), jax.process_count()
        return Hosts(process, processes) if processes > 1 else Member()

    @cached_property
    def whole(self) -> Any:
        """The sharding of what every device has all of."""
        return self._sharding()

    @cached_property
    def vectors(self) -> Any:
        """The sharding of all weights as a vector."""
        return self._sharding(_AXIS) if self.split else self.whole

    def batch(self, axes: Axes) -> Any:
        """The sharding of an array with these axes: that of the batch is cut up."""
        return self.along(axes, BATCH)

    def along(self, axes: Axes, cut: Axis) -> Any:
        """The sharding of an array with these axes, one of which is cut up."""
        return self._sharding(*(_AXIS if axis == cut else None for axis in axes))

    def _sharding(self, *parts: str | None) -> Any:
        sharding = library("jax", "jax").sharding
        return sharding.NamedSharding(self.mesh, sharding.PartitionSpec(*parts))

    def filled(self, count: int, size: int) -> Filled:
        """How so many samples lie on all devices, filled up to the room for a batch of a size."""
        member = self.member
        room = self.size // member.processes * -(-size // self.size)  # of each process
        own = np.arange(count)[member.of(count)]
        spare = own[0] if len(own) else 0
        places = np.concatenate([own, np.full(room - len(own), spare)])
        parts = [each.of(count) for each in member.others]
        samples = [at * room + np.arange(each.stop - each.start) for at, each in enumerate(parts)]
        return Filled(places, len(own), np.concatenate(samples))

    def put(self, value: Array, sharding: Any) -> Any:
        """An array that every process has whole, on the devices."""
        jax = library("jax", "jax")
        return jax.make_array_from_callback(value.shape, sharding, lambda at: value[at])

    def put_batch(self, own: Array, axes: Axes) -> Any:
        """This process's part of an array with these axes, on the devices."""
        jax = library("jax", "jax")
        shape = tuple(
            length * self.member.processes if axis == BATCH else length
            for axis, length in zip(axes, own.shape, strict=True)
        )
        return jax.make_array_from_process_local_data(self.batch(axes), own, shape)

    def added(self, function: Function, axes: Mapping[str, Axes]) -> Function:
        """The sum over all devices of what a function makes of parameters and its own samples.

        ``axes`` are those of the arrays of a batch, by name.
        """
        jax = library("jax", "jax")

        def own(params: Any, batch: Any) -> Any:
            return jax.lax.psum(function(params, batch), _AXIS)

        batch = {name: self.batch(each).spec for name, each in axes.items()}
        whole = self.whole.spec
        # unchecked: a loop may begin with zeros, which jax takes for equal on all devices
        return jax.shard_map(  # type: ignore[no-any-return]
            own, mesh=self.mesh, in_specs=(whole, batch), out_specs=whole, check_vma=False
        )

    def get(self, array: Any) -> Array:
        """An array from the devices, whole, in memory of its own."""
        if not array.is_fully_replicated:
            array = library("jax", "jax").jit(_same, out_shardings=self.whole)(array)
        return np.array(array.addressable_data(0))


def _same(array: Any) -> Any:
    return array


@dataclass(frozen=True)
class Hardware:
    """What of jax's devices a training takes, as a person says it.

    ``devices`` is how many of each process, a list of them, or a mesh; None is the first one, and
    all of them where several processes train together. ``split_weights`` cuts weights and the
    optimiser's memory up over them between the steps; with ``precision`` "bfloat16" products read
    that. Raises UnknownNameError for another precision.
    """

    devices: Any = None
    split_weights: bool = False
    precision: str | None = None

    def __post_init__(self) -> None:
        if self.precision not in (None, *PRECISIONS):
            raise unknown("precision", self.precision, PRECISIONS)
        require("split_weights", self.split_weights, bool, "True or False")

    @property
    def given(self) -> list[str]:
        """The names of what was said."""
        nothing = Hardware()
        return [each for each in vars(nothing) if getattr(self, each) != getattr(nothing, each)]

    @property
    def half(self) -> bool:
        """Do products read bfloat16?"""
        return self.precision == "bfloat16"

    @cached_property
    def placement(self) -> Placement:
        """The devices in a row.

        Raises ConfigError for ones that are not there, or not as many of each process, and where
        jax is not installed.
        """
        jax = library("jax", "jax")
        try:
            every = jax.devices()
        except RuntimeError as fault:
            raise ConfigError(f"jax finds no device: {fault}") from fault
        chosen = _chosen(self.devices, every, jax)
        counts = Counter(device.process_index for device in chosen)
        if len({counts[process] for process in range(jax.process_count())}) > 1:
            raise ConfigError(
                f"devices are of processes {sorted(counts.elements())}; expected as many of each "
                f"of the {jax.process_count()}"
            )
        in_order = sorted(chosen, key=lambda device: (device.process_index, device.id))
        return Placement(jax.sharding.Mesh(np.array(in_order), (_AXIS,)), self.split_weights)


def _chosen(devices: Any, every: Sequence[Any], jax: Any) -> list[Any]:
    if devices is None:
        return list(every if jax.process_count() > 1 else every[:1])
    if isinstance(devices, jax.sharding.Mesh):
        return list(devices.devices.flat)
    if isinstance(devices, Sequence) and not isinstance(devices, str):
        if not devices or any(device not in every for device in devices):
            raise ConfigError(f"devices is {shown(devices)}; expected some of jax.devices()")
        if len({*devices}) < len(devices):
            raise ConfigError(f"devices is {shown(devices)}, which names one twice")
        return list(devices)
    if not isinstance(devices, Integral):
        raise ConfigError(
            f"devices is {shown(devices)}; expected a number, a list of devices, or a mesh of jax"
        )
    number = whole("devices", devices)
    own = [jax.local_devices(process) for process in range(jax.process_count())]
    fewest = min(map(len, own))
    if number > fewest:
        kind = every[0].platform
        raise ConfigError(
            f"devices is {number}, but jax finds {fewest} ({kind}); on a CPU "
            "XLA_FLAGS=--xla_force_host_platform_device_count=4 makes four of one"
        )
    return [device for several in own for device in several[:number]]
