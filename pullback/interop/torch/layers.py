"""torch's own layers as blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pullback.errors import ConversionError
from pullback.interop.torch.ops import MODULES, activation, bound
from pullback.interop.torch.places import module_place
from pullback.ir import Node
from pullback.nn import Block, Identity

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_TENSOR_HOOKS = ("_backward_hooks", "_post_accumulate_grad_hooks")
_HINTS = {
    "softmax": "end the model in logits, and use CrossEntropyLoss",
    "prelu": "its slope is a parameter, and pullback's parameters are those of Linear blocks",
}


@dataclass(frozen=True)
class LogSoftmax(Block):
    """The end of a model whose loss is NLLLoss; the two are CrossEntropy."""

    place: str

    def build(self, x: Node, path: str) -> Node:
        raise ConversionError(f"{self.place} may only end a model, with NLLLoss")


def layer(module: Any, path: str) -> Block:
    """The block of a layer without weights.

    Raises ConversionError for layers that have no counterpart.
    """
    name, place = type(module).__name__, module_place(module, path)
    if name == "LogSoftmax":
        return log_softmax(place, module.dim)
    if name not in MODULES:
        raise ConversionError(f"{place} has no counterpart in pullback{hint(name.lower())}")
    operation, fields = MODULES[name]
    try:
        return weightless(operation, (), {field: getattr(module, field) for field in fields})
    except ConversionError as fault:
        raise ConversionError(f"{place}: {fault}") from None


def weightless(name: str, args: Any, options: Any) -> Block:
    """The block of an operation; Flatten, and Dropout in eval, are identities.

    Raises ConversionError for what has no counterpart.
    """
    found = activation(name, args, options)
    if found is not None:
        return found
    if name == "dropout":
        given = {"p": 0.5, "training": True} | bound(name, args, options)
        if given["training"] and given["p"]:
            raise ConversionError("it draws at random in training; call module.eval() first")
        return Identity()
    if name == "flatten":
        given = {"start_dim": 0, "end_dim": -1} | bound(name, args, options)
        if given["start_dim"] != 1 or given["end_dim"] not in (-1, 1):
            raise ConversionError("it does not keep the batch, axis 0, as it is")
        return Identity()
    raise ConversionError(f"it has no counterpart in pullback{hint(name)}")


def log_softmax(place: str, axis: Any) -> LogSoftmax:
    """The end of a model; raises ConversionError if it is not over the features."""
    if axis not in (None, 1, -1):
        raise ConversionError(f"{place} is over axis {axis}; expected the features, axis 1")
    return LogSoftmax(place)


def hint(name: str) -> str:
    """What to do instead, where that is known."""
    return f"; {_HINTS[name]}" if name in _HINTS else ""


def refuse_hidden(module: Any) -> None:
    """Raise ConversionError for what changes a module's values without standing in its graph."""
    for name, tensor in module.named_parameters():
        if hasattr(tensor, "materialize"):
            raise ConversionError(f"{name} has no values yet: run or load the module first")
    for path, part in module.named_modules():
        place = module_place(part, path)
        if type(part).__name__ == "OptimizedModule":
            raise ConversionError("torch.compile has compiled the module; give module._orig_mod")
        if hasattr(part, "parametrizations"):
            raise ConversionError(f"{place} is parametrized; call remove_parametrizations first")
        if any(getattr(part, hooks, None) for hooks in _HOOKS):
            raise ConversionError(f"{place} has hooks, which pullback does not run; remove them")
    for name, tensor in module.named_parameters():
        if any(getattr(tensor, hooks, None) for hooks in _TENSOR_HOOKS):
            raise ConversionError(
                f"the parameter {name!r} has hooks, which pullback does not run; remove them"
            )
    _refuse_overlaps(module)


def _refuse_overlaps(module: Any) -> None:
    """Raise ConversionError for two parameters in the same memory: training one changes both."""
    spans: dict[int, list[tuple[int, int, str]]] = {}
    for name, tensor in module.named_parameters():
        if tensor.device.type == "meta" or not tensor.numel():
            continue
        reach = sum((n - 1) * step for n, step in zip(tensor.shape, tensor.stride(), strict=True))
        start = tensor.storage_offset()
        if reach + 1 < tensor.numel():
            raise ConversionError(f"{name!r} holds one number in several places; clone it")
        of_storage = spans.setdefault(tensor.untyped_storage().data_ptr(), [])
        for low, high, other in of_storage:
            if start <= high and low <= start + reach:
                raise ConversionError(
                    f"{other!r} and {name!r} share memory, so that training one changes both; "
                    "give each parameter values of its own, by clone()"
                )
        of_storage.append((start, start + reach, name))


def starts_in_place(module: Any) -> bool:
    """Does a module write over what goes into it?"""
    for part in module.modules():
        if next(part.children(), None) is None and type(part).__name__ not in (
            "Identity", "Flatten", "Dropout", "AlphaDropout", "FeatureAlphaDropout",
        ):  # fmt: skip
            return bool(getattr(part, "inplace", False))
    return False
