"""A torch module as a block: Sequentials as they are, everything else as torch traces it."""

from __future__ import annotations

from typing import Any

from pullback.errors import ConversionError, PullbackError
from pullback.interop.assemble import Assembler
from pullback.interop.graph import Graph, Store
from pullback.interop.torch.copies import first_line
from pullback.interop.torch.layers import layer
from pullback.interop.torch.nodes import NodeReader
from pullback.interop.torch.places import module_place
from pullback.interop.torch.weights import Held, linear_of
from pullback.nn import Block, Identity, Sequential

_ANY_SIZE = 2**31  # larger than any batch


class ModuleReader:
    """Reads one module; its parameters are gathered in ``store`` under their own names.

    The module is a copy, which its own code may change. ``example`` (batch, …) is what
    ``torch.export`` runs, if ``torch.fx`` gives up.
    """

    def __init__(self, torch: Any, module: Any, example: Any = None) -> None:
        self.torch, self.module, self.example = torch, module, example
        self.store = Store()
        self.names: dict[int, str] = {}
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            self.names.setdefault(id(tensor), name)

    def read(self) -> Block:
        """The block of the whole module.

        Raises ConversionError that names the operation without counterpart, and its place.
        """
        try:
            return self._block(self.module, "")
        except PullbackError:
            raise
        except Exception as fault:  # a module may hold anything, and its attributes do anything
            raise ConversionError(
                f"{type(self.module).__name__} cannot be read: {type(fault).__name__}: "
                f"{first_line(fault)}"
            ) from fault

    def _block(self, module: Any, path: str) -> Block:
        nn = self.torch.nn
        if self._is_linear(module):
            place = module_place(module, path)
            weight, bias = self._held(module.weight), module.bias
            try:
                found = linear_of(weight, None if bias is None else self._held(bias))
            except ConversionError as fault:
                raise ConversionError(f"{place}: {fault}") from None
            return self.store.linear(place, *found)
        if type(module) is nn.Sequential:
            parts = [
                self._block(part, f"{path}.{name}" if path else name)
                for name, part in module._modules.items()
            ]
            return Sequential(*parts) if parts else Identity()
        if self._is_torchs(module) and not module._modules:
            return layer(module, path)
        return self._traced(module, path)

    def _held(self, tensor: Any) -> Held:
        """A parameter or buffer with the name that the module gives it."""
        return Held(self.names.get(id(tensor), "a tensor without a name"), tensor)

    def _is_linear(self, module: Any) -> bool:
        """A Linear, or a class of somebody's own that computes what Linear does."""
        own = self.torch.nn.Linear
        return isinstance(module, own) and type(module).forward is own.forward

    def _is_torchs(self, module: Any) -> bool:
        return type(module) is getattr(self.torch.nn, type(module).__name__, None)

    def _traced(self, module: Any, path: str) -> Block:
        """What ``torch.fx`` sees, or else ``torch.export`` for the example."""
        graph = Graph(self.store)
        tracer = self.torch.fx.Tracer()
        tracer.record_stack_traces = True
        tracer.is_leaf_module = lambda part, _: self._is_linear(part) or self._is_torchs(part)

        def block(name: str) -> Block:
            part = module.get_submodule(name)
            return self._block(part, f"{path}.{name}" if path else name)

        reader = NodeReader(graph, self.torch, module, path, self._held, block)
        try:
            nodes = tracer.trace(module).nodes
        except Exception as fault:  # whatever the module's own code raises when proxies run it
            if path or self.example is None:
                hint = "" if path else "; give example=X[:1], and torch.export will try"
                raise ConversionError(
                    f"torch.fx cannot trace {module_place(module, path)}: {first_line(fault)}{hint}"
                ) from fault
            nodes, parameters = self._exported()
            return Assembler(graph).block(reader.read(nodes, parameters))
        return Assembler(graph).block(reader.read(nodes))

    def _exported(self) -> tuple[Any, dict[str, Held]]:
        """The nodes that ``torch.export`` finds for a batch of any size, and the parameters."""
        export = self.torch.export
        like = next(self.module.parameters(), self.torch.zeros(()))
        first = self.torch.from_numpy(self.example[:1]).to(like.device, like.dtype)
        example = self.torch.cat([first] * 2)  # a batch of one would stay one
        sizes = ({0: export.Dim.DYNAMIC},)
        try:
            program = export.export(self.module, (example,), dynamic_shapes=sizes, strict=False)
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
        held = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        tensors = {**program.state_dict, **program.constants}
        return program.graph.nodes, {
            name: Held(target, tensors[target]) for name, target in held.items()
        }
