"""A torch module as a block: Sequentials as they are, everything else as torch traces it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pullback.errors import ConversionError, PullbackError
from pullback.interop.blocks import as_block
from pullback.interop.imported import Imported
from pullback.interop.inputs import flattens, is_turned
from pullback.interop.rows import Array, Ref
from pullback.interop.torch.call import ONE, ForwardCall
from pullback.interop.torch.copies import first_line
from pullback.interop.torch.layers import MODULES, RECURRENT
from pullback.interop.torch.nodes import RowReader
from pullback.interop.torch.outputs import chosen
from pullback.interop.torch.places import module_place
from pullback.interop.torch.trace import Front, by_fx
from pullback.interop.torch.weights import TorchWeights
from pullback.ir import Node
from pullback.net.inputs import TAKEN
from pullback.nn import Block, Identity, ParameterSpec, Scope, Sequential


@dataclass(frozen=True)
class _Part:
    """A module without an ``nn.Sequential`` at its top: its rows, and the names of its inputs."""

    model: Imported
    module: Any
    path: str


@dataclass(frozen=True)
class _Parts:
    """An ``nn.Sequential``, part by part."""

    parts: tuple[_Part | _Parts, ...]


class ModuleReader:
    """Reads one module; ``arrays`` are its tensors by name.

    The module is a copy, which its own code may change. ``front`` makes a graph of it. ``output``
    is the one that is meant where the module gives back several. With ``logits``, a LogSoftmax at
    the end is left out, and ``log_softmax`` says where it stood.
    """

    def __init__(
        self, torch: Any, module: Any, call: ForwardCall, front: Front, output: Any, logits: bool
    ) -> None:
        self.torch, self.call, self.front = torch, call, front
        self.output, self.logits = output, logits
        self.inputs = tuple(f"{name}_" if name in TAKEN else name for name in call.names)
        self.log_softmax: str | None = None
        self.replays = False  # is a part of it no chain of blocks?
        self.arrays: dict[str, Array] = {}
        try:
            self._read = self._parts(module, "", last=True)
        except PullbackError:
            raise
        except Exception as fault:  # a module may hold anything, and its attributes do anything
            raise ConversionError(
                f"{type(module).__name__} cannot be read: {type(fault).__name__}: "
                f"{first_line(fault)}"
            ) from fault

    def flattens(self, shape: tuple[int, ...]) -> bool:
        """Is (batch, features) made of samples of this shape before anything else is done?"""
        first = self._read
        while isinstance(first, _Parts) and first.parts:
            first = first.parts[0]
        return isinstance(first, _Part) and flattens(first.model.rows, shape)

    def block(self, x: Mapping[str, Node], called: bool) -> Block:
        """The block of the module, for inputs with these axes; ``called``: by the module's names.

        Raises ConversionError that names what cannot be said, and its place.
        """
        given: Any = next(iter(x.values())) if len(x) == 1 else dict(x)
        return self._block(self._read, given, Scope(), called)[0]

    def node(self, x: Mapping[str, Node]) -> Node:
        """What the module makes of inputs with these axes."""
        given: Any = next(iter(x.values())) if len(x) == 1 else dict(x)
        found: Node = self._block(self._read, given, Scope(), True)[1]
        return found

    def _block(self, read: _Part | _Parts, x: Any, at: Scope, called: bool) -> tuple[Block, Any]:
        """A block, and what it makes of x."""
        if isinstance(read, _Part):
            model = replace(read.model, place=read.path if called else None)
            node = replace(read.model, place=read.path).build(x, at)
            plain = None if isinstance(x, dict) else self._plain(read, x, node, at, called)
            self.replays |= plain is None
            return plain or model, node
        parts = []
        for part in read.parts:
            block, x = self._block(part, x, at, called)
            parts.append(block)
        return (Sequential(*parts) if parts else Identity()), x

    def _plain(self, read: _Part, x: Node, output: Node, at: Scope, called: bool) -> Block | None:
        """Blocks that compute the same, if there are some."""

        def name_of(weight: ParameterSpec, bias: ParameterSpec | None, inout: bool) -> str | None:
            own = bias is None or (bias.place.part, bias.place.path) == ("bias", weight.place.path)
            fits = own and weight.place.part == "weight" and not inout
            return weight.place.path if fits else None

        if is_turned(read.model.rows):
            return None
        noise = at.declarations.noise
        return as_block(x, output, at.specs, name_of, called, noise)

    def _parts(self, module: Any, path: str, last: bool) -> _Part | _Parts:
        nn = self.torch.nn
        by_parts = self.front is by_fx and not (
            (path == "" and _shares(module)) or _passes_states(module)
        )
        if type(module) is nn.Sequential and by_parts and "forward" not in vars(module):
            names = list(module._modules)
            return _Parts(
                tuple(
                    self._parts(
                        part, f"{path}.{name}" if path else name, last and name == names[-1]
                    )
                    for name, part in module._modules.items()
                )
            )
        weights = TorchWeights(module, path)
        call = ONE if path else self.call
        reader = RowReader(self.torch, module, path, weights, len(call.names))
        if self._is_layer(module):
            found: Any = reader.layer(module, path, "", [Ref(0)])
        else:
            found = reader.read(self.front(self.torch, module, call, self._is_layer))
        output = chosen(found, self.output) if last else found
        if not isinstance(output, Ref):
            raise ConversionError(
                f"{module_place(module, path)} gives back something else than tensors"
            )
        if last and self.logits:
            output = self._without_log_softmax(reader, output)
        prefix = f"{path}." if path else ""
        self.arrays.update({f"{prefix}{name}": a for name, a in weights.arrays.items()})
        inputs = ("x",) if path else self.inputs
        model = Imported(type(module).__name__, inputs, tuple(reader.rows), output)
        return _Part(model, module, path)

    def _without_log_softmax(self, reader: RowReader, output: Ref) -> Ref:
        """What a LogSoftmax over the last axis is applied to, if one ends the model."""
        at = output.index - reader.inputs
        row = reader.rows[at] if at >= 0 else None
        if row is None or row.operator != "log_softmax":
            return output
        dim = dict(row.options).get("dim", row.args[1] if len(row.args) > 1 else None)
        if dim in (None, 1, -1):
            self.log_softmax = row.place
            (arg,) = row.args[:1]
            assert isinstance(arg, Ref)
            return arg
        raise ConversionError(f"{row.place} is over axis {dim}; expected the features, axis 1")

    def _is_layer(self, module: Any) -> bool:
        """A layer of torch's, or a Linear of somebody's own that computes what Linear does.

        One whose weights are computed, by a parametrization or a hook, is none, nor is one with a
        forward of this one object.
        """
        changed = hasattr(module, "parametrizations") or "forward" in vars(module)
        if changed or module._forward_pre_hooks:
            return False
        own = self.torch.nn.Linear
        if isinstance(module, own) and type(module).forward is own.forward:
            return True
        is_torchs = type(module) is getattr(self.torch.nn, type(module).__name__, None)
        name = type(module).__name__
        is_empty = isinstance(module, self.torch.nn.Sequential)  # a shortcut that changes nothing
        return is_torchs and (name in MODULES or not (module._modules or is_empty))


def _passes_states(module: Any) -> bool:
    """Does a part give its output and its states to the next part?"""
    return any(type(part).__name__ in RECURRENT for part in list(module.children())[:-1])


def _shares(module: Any) -> bool:
    """Does a tensor stand in it in two places?"""
    each = [id(p) for _, p in module.named_parameters(remove_duplicate=False)]
    return len(set(each)) < len(each)
