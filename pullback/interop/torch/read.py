"""A torch module as a block: Sequentials as they are, everything else as torch traces it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pullback.errors import ConversionError, PullbackError
from pullback.interop.blocks import as_block
from pullback.interop.imported import Imported
from pullback.interop.inputs import flattens, is_turned
from pullback.interop.rows import Array, Ref
from pullback.interop.torch.copies import first_line
from pullback.interop.torch.layers import MODULES
from pullback.interop.torch.nodes import RowReader
from pullback.interop.torch.places import module_place
from pullback.interop.torch.weights import TorchWeights
from pullback.ir import Node
from pullback.nn import Block, Identity, ParameterSpec, Scope, Sequential

_ANY_SIZE = 2**31  # larger than any batch


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

    The module is a copy, which its own code may change. ``examples`` (batch, …), one an input, are
    what ``torch.export`` runs, if ``torch.fx`` gives up. ``output`` is the one that is meant where
    the module gives back several. With ``logits``, a LogSoftmax at the end is left out, and
    ``log_softmax`` says where it stood.
    """

    def __init__(
        self, torch: Any, module: Any, examples: tuple[Array, ...] | None, output: Any, logits: bool
    ) -> None:
        self.torch, self.module, self.examples = torch, module, examples
        self.output, self.logits = output, logits
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

    @property
    def inputs(self) -> tuple[str, ...]:
        """What its forward takes, by name."""
        first = self._read
        while isinstance(first, _Parts):
            if not first.parts:
                return ("x",)
            first = first.parts[0]
        return first.model.inputs

    @property
    def flattens(self) -> bool:
        """Is (batch, features) made of the input before anything else is done with it?"""
        first = self._read
        while isinstance(first, _Parts) and first.parts:
            first = first.parts[0]
        return isinstance(first, _Part) and len(self.inputs) == 1 and flattens(first.model.rows)

    def block(self, x: Mapping[str, Node], called: bool) -> Block:
        """The block of the module, for inputs with these axes; ``called``: by the module's names.

        Raises ConversionError that names what cannot be said, and its place.
        """
        given: Any = next(iter(x.values())) if len(x) == 1 else dict(x)
        return self._block(self._read, given, Scope(), called)[0]

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

        return (
            None if is_turned(read.model.rows) else as_block(x, output, at.specs, name_of, called)
        )

    def _parts(self, module: Any, path: str, last: bool) -> _Part | _Parts:
        nn = self.torch.nn
        if type(module) is nn.Sequential and not (path == "" and _shares(module)):
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
        count = len(self.examples) if self.examples and not path else 1
        reader = RowReader(self.torch, module, path, weights.held, count)
        if self._is_layer(module):
            reader.inputs.append("x")
            found: Any = reader.layer(module, path, "", [Ref(0)])
        else:
            found = self._traced(module, path, reader, weights)
        output = self._chosen(found, reader) if last else found
        if not isinstance(output, Ref):
            raise ConversionError(
                f"{module_place(module, path)} gives back something else than tensors"
            )
        if last and self.logits:
            output = self._without_log_softmax(reader, output)
        prefix = f"{path}." if path else ""
        self.arrays.update({f"{prefix}{name}": a for name, a in weights.arrays.items()})
        model = Imported(type(module).__name__, tuple(reader.inputs), tuple(reader.rows), output)
        return _Part(model, module, path)

    def _without_log_softmax(self, reader: RowReader, output: Ref) -> Ref:
        """What a LogSoftmax over the last axis is applied to, if one ends the model."""
        at = output.index - len(reader.inputs)
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

    def _chosen(self, found: Any, reader: RowReader) -> Any:
        """The output that is meant."""
        if isinstance(found, (tuple, dict)):
            known = list(found) if isinstance(found, dict) else list(range(len(found)))
            key = known[0] if self.output == 0 and known else self.output
            if key not in known:
                raise ConversionError(
                    f"the module has no output {self.output!r}; its outputs are "
                    f"{', '.join(map(repr, known))}"
                )
            return found[key]
        if self.output != 0:
            raise ConversionError(
                f"output is {self.output!r}, but the module gives back one tensor"
            )
        return found

    def _is_layer(self, module: Any) -> bool:
        """A layer of torch's, or a Linear of somebody's own that computes what Linear does."""
        own = self.torch.nn.Linear
        if isinstance(module, own) and type(module).forward is own.forward:
            return True
        is_torchs = type(module) is getattr(self.torch.nn, type(module).__name__, None)
        name = type(module).__name__
        return is_torchs and (name in MODULES or not module._modules)

    def _traced(self, module: Any, path: str, reader: RowReader, weights: TorchWeights) -> Any:
        """What ``torch.fx`` sees, or else ``torch.export`` for the example."""
        tracer = self.torch.fx.Tracer()
        tracer.record_stack_traces = tracer.proxy_buffer_attributes = True
        tracer.is_leaf_module = lambda part, _: self._is_layer(part)
        try:
            nodes = tracer.trace(module).nodes
        except Exception as fault:  # whatever the module's own code raises when proxies run it
            if path or self.examples is None:
                hint = "" if path else "; give example=X[:1], and torch.export will try"
                raise ConversionError(
                    f"torch.fx cannot trace {module_place(module, path)}: {first_line(fault)}{hint}"
                ) from fault
            nodes, parameters = self._exported(weights)
            return reader.read(nodes, parameters)
        return reader.read(nodes)

    def _exported(self, weights: TorchWeights) -> tuple[Any, dict[str, Any]]:
        """The nodes that ``torch.export`` finds for a batch of any size, and the parameters."""
        export = self.torch.export
        like = next(self.module.parameters(), self.torch.zeros(()))
        assert self.examples is not None
        first = (self.torch.from_numpy(x[:1]).to(like.device, like.dtype) for x in self.examples)
        examples = tuple(self.torch.cat([x] * 2) for x in first)  # a batch of one would stay one
        sizes = tuple({0: export.Dim.DYNAMIC} for _ in examples)
        try:
            program = export.export(self.module, examples, dynamic_shapes=sizes, strict=False)
        except Exception as fault:  # the module's own code again
            raise ConversionError(
                f"neither torch.fx nor torch.export can trace {module_place(self.module, '')}: "
                f"{first_line(fault)}"
            ) from fault
        for sizes in program.range_constraints.values():
            if sizes.lower > 2 or sizes.upper < _ANY_SIZE:
                raise ConversionError(
                    f"the forward of {module_place(self.module, '')} depends on the batch's size: "
                    f"what torch.export reads holds for {sizes.lower} to {sizes.upper} samples only"
                )
        signature = program.graph_signature
        names = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
            **signature.inputs_to_lifted_tensor_constants,
        }
        place = module_place(self.module, "")
        return program.graph.nodes, {
            node: partial(weights.named, place, name, program.constants)
            for node, name in names.items()
        }


def _shares(module: Any) -> bool:
    """Does a tensor stand in it in two places?"""
    each = [id(p) for _, p in module.named_parameters(remove_duplicate=False)]
    return len(set(each)) < len(each)
