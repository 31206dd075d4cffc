"""``from_torch``: a module as a network with its parameters, checked on an example."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pullback.errors import ConfigError, ConversionError, PullbackError, ShapeError
from pullback.interop.extras import library
from pullback.interop.inputs import declared_axes, text_of_axes, without_size
from pullback.interop.rows import Array
from pullback.interop.torch.call import ForwardCall, call_of
from pullback.interop.torch.compare import compare
from pullback.interop.torch.copies import copied, undisturbed
from pullback.interop.torch.dispatch import by_dispatch
from pullback.interop.torch.example import as_examples, made_up
from pullback.interop.torch.layers import refuse_hidden, without_hooks
from pullback.interop.torch.loss import drops_log_softmax, loss_of
from pullback.interop.torch.read import ModuleReader
from pullback.interop.torch.trace import BranchError, Front, UntraceableError, by_export, by_fx
from pullback.ir.lookup import index_sizes
from pullback.net.build import Outline, outlined
from pullback.net.inputs import declared_inputs, shapes
from pullback.net.network import Network
from pullback.nn import Block

Declared = str | dict[str, str]


def from_torch(
    module: Any, loss: Any = None, example: Any = None, output: int | str = 0
) -> tuple[Network, dict[str, Array]]:
    """The network that a torch module computes, and its parameters under the module's own names.

    ``loss`` is one of torch's or of pullback's. A LogSoftmax before NLLLoss goes into CrossEntropy:
    the network's output is then the logits. ``output`` picks one of several outputs, by its place
    or its name. A copy of the module and the network run beside each other in float64, on
    ``example`` (batch, …), a tuple or a dict of several inputs, and on random inputs: values and
    gradients have to agree. Nothing of the module changes. Buffers, and parameters that are frozen,
    are parameters without a gradient.
    Raises ConversionError that names an operation, a loss or an option without counterpart, and
    its place, or where the two differ; ConfigError if torch is not installed or the module is none;
    DTypeError, ShapeError or DataError for an example that is no batch of floats.

    >>> import torch
    >>> module = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2))
    >>> net, params = from_torch(module, loss=torch.nn.CrossEntropyLoss(), example=torch.ones(1, 4))
    >>> net
    Network(Sequential(Linear(4, 3), Tanh(), Linear(3, 2)), loss=CrossEntropy(reduction='mean'))
    >>> list(params) == list(module.state_dict())
    True
    """
    torch = library("torch", "torch")
    if isinstance(module, torch.export.ExportedProgram):
        module = module.module()
    if not isinstance(module, torch.nn.Module):
        raise ConfigError(f"module is {module!r}; expected a torch.nn.Module")
    with undisturbed(torch):
        refuse_hidden(torch, module)
        call, given = call_of(module, example)
        examples = None if given is None else as_examples(torch, given)
        reader, model, outline, x, examples = _read(torch, module, call, examples, output, loss)
        try:
            net = Network(model, loss=loss_of(loss, outline.axes, reader.log_softmax), x=x)
        except ShapeError as fault:
            raise ConversionError(f"the module's widths do not meet: {fault}") from None
        params = {
            spec.name: np.array(reader.arrays.get(spec.name, spec.start)) for spec in net.specs
        }
        compare(torch, module, call, net, params, examples, output, reader.log_softmax)
    return net, params


def _read(
    torch: Any,
    module: Any,
    call: ForwardCall,
    examples: tuple[Array, ...] | None,
    output: Any,
    loss: Any,
) -> tuple[ModuleReader, Block, Outline, Declared, tuple[Array, ...] | None]:
    """The module as the first front end reads it that can.

    Raises ConversionError: what is said of an operator comes before what is said of the trace.
    """
    seen = made_up(torch, module, call) if examples is None else examples
    fronts: tuple[Front, ...] = (by_fx,)
    if seen is not None:
        fronts = (by_fx, by_export(seen, False), by_export(seen, True), by_dispatch(seen))
    if isinstance(module, torch.jit.ScriptModule):
        fronts = fronts[3:]  # the others run Python
        if not fronts:
            raise ConversionError(
                "torch.jit has compiled the module; give example=X[:1], to run it"
            )
    faults: list[ConversionError] = []
    for front in fronts:
        copy = without_hooks(copied(torch, module))
        try:
            reader = ModuleReader(torch, copy, call, front, output, drops_log_softmax(loss))
            return reader, *_as_they_are_used(reader, examples)
        except ShapeError as fault:
            _refuse_example(reader, examples)
            raise ConversionError(f"the module's widths do not meet: {fault}") from None
        except ConversionError as fault:
            faults.append(fault)
            if front is not by_fx and (
                not isinstance(fault, UntraceableError)
                or (isinstance(fault, BranchError) and front in fronts[2:])  # both exports say so
            ):
                break
    if examples is None:
        why = "torch.export will then try" if seen is None else "its inputs had to be guessed"
        hint = f"; give an example, from_torch(module, loss, example=X[:1]): {why}"
        faults = [type(each)(f"{each}{hint}") for each in faults]
    raise next((each for each in faults if not isinstance(each, UntraceableError)), faults[:2][-1])


def _as_they_are_used(
    reader: ModuleReader, examples: tuple[Array, ...] | None
) -> tuple[Block, Outline, Declared, tuple[Array, ...] | None]:
    """What is modelled, and the examples: whole numbers that look nothing up are real ones."""
    if examples is None or all(x.dtype.kind == "f" for x in examples):
        return *_modelled(reader, examples), examples
    inputs = declared_inputs(_declared(reader, examples))
    looked = index_sizes(reader.node(inputs))
    examples = tuple(
        x if name in looked else x.astype(np.float64)
        for name, x in zip(inputs, examples, strict=True)
    )
    return *_modelled(reader, examples), examples


def _modelled(
    reader: ModuleReader, examples: tuple[Array, ...] | None
) -> tuple[Block, Outline, Declared]:
    """The block of the module, its outline, and the axes of its inputs."""
    declared = _declared(reader, examples)
    inputs = declared_inputs(declared)
    called = reader.block(inputs, called=True)
    by_name = outlined(called, inputs, ours=False)
    plain = reader.block(inputs, called=False)
    by_place = outlined(plain, inputs, ours=False)
    same = [spec.name for spec in by_name.specs] == [spec.name for spec in by_place.specs]
    model, outline = (plain, by_place) if same else (called, by_name)
    if isinstance(declared, str):
        of_x = outline.inputs["x"]
        whole = reader.replays and not shapes(declared)
        declared = text_of_axes(of_x) if whole else without_size(declared)
    return model, outline, declared


def _refuse_example(reader: ModuleReader, examples: tuple[Array, ...] | None) -> None:
    """Raise ConversionError if it is the example's width that does not fit."""
    if examples is None or len(examples) > 1 or examples[0].ndim > 2:
        return
    try:
        inputs = declared_inputs("features")
        needed = outlined(reader.block(inputs, called=True), inputs, ours=False).inputs["x"].axes[1]
    except PullbackError:
        return
    if needed.size not in (None, given := examples[0].shape[1]):
        raise ConversionError(
            f"the module cannot run the example: it takes {needed.size} features, and a sample of "
            f"the example has {given}"
        )


def _declared(reader: ModuleReader, examples: tuple[Array, ...] | None) -> Declared:
    """The axes of each input, with their sizes where the examples show them."""
    names = reader.inputs
    if len(names) == 1:
        if examples is None:
            return "features"
        shape, whole = examples[0].shape[1:], examples[0].dtype.kind == "i"
        return declared_axes(shape, reader.flattens(shape), whole=whole)
    shapes: Mapping[str, tuple[int, ...] | None] = dict.fromkeys(names)
    indices = {n for n, x in zip(names, examples or (), strict=False) if x.dtype.kind == "i"}
    if examples is not None:
        shapes = {name: each.shape[1:] for name, each in zip(names, examples, strict=True)}
    return {
        name: f"features_{name}"
        if shape is None
        else declared_axes(shape, of=f"_{name}", whole=name in indices)
        for name, shape in shapes.items()
    }
