"""A module as a graph of torch's: as ``torch.fx`` traces it, or as ``torch.export`` does."""

from __future__ import annotations

import logging
import os
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from typing import Any

from pullback.errors import ConversionError
from pullback.interop.rows import Array
from pullback.interop.torch.call import ForwardCall
from pullback.interop.torch.copies import first_line
from pullback.interop.torch.places import module_place

_ANY_SIZE = 2**31  # larger than any batch
DETACHED = "detached"  # of a node under torch.no_grad
_HERE = os.path.dirname(__file__)
# what torch.fx and torch.export say of a branch on a value
_BRANCHES = ("inputs to control flow", "data-dependent")


class UntraceableError(ConversionError):
    """No graph shows what a module does."""


class BranchError(UntraceableError):
    """A module does something else for other values, or for other numbers of samples."""


@dataclass(frozen=True)
class Traced:
    """The nodes of a graph, and which of them are given back, as the module does.

    Some arguments of the graph may be ``parameters``, tensors of the module by these names.
    """

    nodes: Any
    output: Any
    inputs: tuple[str, ...]
    parameters: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)


Front = Callable[[Any, Any, ForwardCall, Callable[[Any], bool]], Traced]


def by_fx(torch: Any, module: Any, call: ForwardCall, is_layer: Callable[[Any], bool]) -> Traced:
    """What ``torch.fx`` sees; it needs no example, and keeps torch's layers whole.

    Raises ConversionError where the module's own code does not run on what stands for a tensor.
    """

    class Tracer(torch.fx.Tracer):
        record_stack_traces = proxy_buffer_attributes = True

        def is_leaf_module(self, part: Any, _: str) -> bool:
            return is_layer(part)

        def create_node(self, *args: Any, **options: Any) -> Any:
            node = super().create_node(*args, **options)
            off = not (torch.is_grad_enabled() or running)
            node.meta[DETACHED] = off and args[0].startswith("call")
            return node

        def call_module(self, part: Any, forward: Any, args: Any, options: Any) -> Any:
            known = any(part is each for each in self.root.modules())
            return (super().call_module if known else _inside)(part, forward, args, options)

        def create_args_for_root(self, *_: Any) -> tuple[Any, list[Any]]:
            inputs = [self.create_proxy("placeholder", name, (), {}) for name in call.names]
            args, options = call.arguments(inputs)
            # the module is called, not its forward: hooks that compute its weights run
            return (lambda: self.root(*args, **options)), []

    try:
        with _own_functions(torch) as running:
            nodes = Tracer(param_shapes_constant=True).trace(module).nodes
    except Exception as fault:  # whatever the module's own code raises when proxies run it
        raise untraceable(torch, module, fault) from fault
    inputs = tuple(node.name for node in nodes if node.op == "placeholder")
    return Traced(nodes, next(iter(reversed(nodes))).args[0], inputs)


@contextmanager
def _own_functions(torch: Any) -> Iterator[list[Any]]:
    """The ``autograd.Function`` classes that run: they turn gradients off, and have their own."""
    kind, running = torch.autograd.Function, list[Any]()
    plain = kind.__dict__["apply"]

    def apply(cls: Any, *args: Any, **options: Any) -> Any:
        running.append(cls)
        try:
            return plain.__get__(None, cls)(*args, **options)
        finally:
            running.pop()

    kind.apply = classmethod(apply)
    try:
        yield running
    finally:
        kind.apply = plain


def _inside(part: Any, forward: Any, args: Any, options: Any) -> Any:
    """What a module does that is no part of the one that is traced: a loss in a function."""
    return forward(*args, **options)


def by_export(examples: tuple[Array, ...], strict: bool) -> Front:
    """What ``torch.export`` sees on an example, for a batch of any size.

    What works in place stands there as what is not. Raises ConversionError for a forward that
    depends on values, or on the batch's size.
    """

    def exported(torch: Any, module: Any, call: ForwardCall, _: Any) -> Traced:
        export = torch.export
        like = next(module.parameters(), torch.zeros(()))
        kinds = [like.dtype if x.dtype.kind == "f" else torch.int64 for x in examples]
        given = [
            torch.from_numpy(x[:1]).to(like.device, kind)
            for x, kind in zip(examples, kinds, strict=True)
        ]
        # a batch of one would stay one
        given = [torch.cat([x] * 2) for x in given]
        args, options = call.arguments(given)
        sizes = export.ShapesCollection()
        for each in given:
            sizes[each] = {0: export.Dim.DYNAMIC}
        try:
            with _silence(), _masks_as_given(torch):
                program = export.export(module, args, options, dynamic_shapes=sizes, strict=strict)
                if any(writes(node) or _transforms(node) for node in program.graph.nodes):
                    program = program.run_decompositions({})
        except Exception as fault:  # the module's own code again
            raise untraceable(torch, module, fault) from fault
        for size in program.range_constraints.values():
            if size.lower > 2 or size.upper < _ANY_SIZE:
                raise BranchError(
                    f"the forward of {module_place(module, '')} depends on the batch's size: "
                    f"what torch.export reads holds for {size.lower} to {size.upper} samples only"
                )
        if any(map(_transforms, program.graph.nodes)):
            raise UntraceableError(
                f"{module_place(module, '')} transforms a function, by torch.func"
            )
        signature = program.graph_signature
        if signature.buffers_to_mutate:
            written = next(iter(signature.buffers_to_mutate.values()))
            raise ConversionError(
                f"the module's forward writes to {written!r}; pullback's networks have no state"
            )
        structure = program.call_spec.out_spec
        (every,) = next(iter(reversed(program.graph.nodes))).args
        given_back = every[len(every) - structure.num_leaves :]  # before them what it wrote over
        return Traced(
            program.graph.nodes,
            torch.utils._pytree.tree_unflatten(given_back, structure),
            tuple(signature.user_inputs),
            {
                **signature.inputs_to_parameters,
                **signature.inputs_to_buffers,
                **signature.inputs_to_lifted_tensor_constants,
            },
            program.constants,
        )

    return exported


@contextmanager
def _masks_as_given(torch: Any) -> Iterator[None]:
    """A Transformer does not look into its mask whether it is causal: it counts as it is."""
    home = torch.nn.modules.transformer
    before = home._detect_is_causal_mask
    home._detect_is_causal_mask = lambda mask, is_causal=None, size=None: is_causal is True
    try:
        yield
    finally:
        home._detect_is_causal_mask = before


def writes(node: Any) -> bool:
    """Does a node of an exported graph write over what it reads?"""
    return hasattr(node.target, "_schema") and bool(node.target._schema.is_mutable)


def _transforms(node: Any) -> bool:
    """Is a node a step of torch.func's own, which no operator is?"""
    return str(getattr(node.target, "__module__", "")).startswith("torch._functorch")


@contextmanager
def _silence() -> Iterator[None]:
    """What torch logs, warns of and prints on its way is not shown: an error says it."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        said = StringIO()
        with warnings.catch_warnings(), redirect_stdout(said), redirect_stderr(said):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def untraceable(torch: Any, module: Any, fault: Exception) -> ConversionError:
    """The error for a module whose own code does not run where it is traced."""
    place = module_place(module, "")
    said = first_line(fault)
    where = _own_line(torch, fault)
    if any(each in str(fault) for each in _BRANCHES):
        return BranchError(
            f"the forward of {place} decides by the values of its data{where}, which no graph "
            "shows: write it with torch.where"
        )
    if "specialized it to be a constant" in str(fault):
        return BranchError(
            f"the forward of {place} depends on the batch's size, which torch.export reads as a "
            "number: take x.shape[0], and no branch on it"
        )
    if "'len' is not supported" in said:
        said = "it takes the len() of a tensor; x.shape[0] is the same, and can be traced"
    return UntraceableError(f"the forward of {place} cannot be traced{where}: {said}")


def _own_line(torch: Any, fault: Exception) -> str:
    """The innermost line that ran and is neither torch's nor pullback's."""
    homes = (os.path.dirname(torch.__file__), _HERE)
    frames = traceback.extract_tb(fault.__traceback__)
    own = [each for each in frames if not each.filename.startswith(homes)]
    return f", {own[-1].filename}:{own[-1].lineno}" if own else ""
