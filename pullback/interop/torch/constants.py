"""What a graph computes from constants alone: done once, as torch does it."""

from __future__ import annotations

from typing import Any

from pullback.interop.torch.copies import first_line
from pullback.interop.torch.ops import is_torchs, operation

# what is read as a pattern where it can be: it needs no tensor
STRUCTURAL = ("ones", "zeros", "arange", "tril", "triu")


class Constants:
    """The values of nodes that depend on no input and on no tensor that has a name and a gradient.

    Tensors of whole numbers, and those that hold an infinity, are constants too, whoever holds
    them: no network computes with them.
    """

    def __init__(self, torch: Any) -> None:
        self._torch = torch
        self._values: dict[Any, Any] = {}

    def hold(self, node: Any, tensor: Any, has_name: bool) -> bool:
        """Note the tensor that a node stands for, if it is a constant; whether it is one."""
        kept = not isinstance(tensor, self._torch.nn.Parameter) and (
            not has_name
            or not (tensor.is_floating_point() or tensor.dtype == self._torch.bool)
            or not bool(tensor.isfinite().all())
        )
        if kept:
            self._values[node] = tensor.detach()
        return kept

    def compute(self, node: Any) -> bool:
        """Compute a node, if all that it reads is constant and it draws nothing."""
        reads = node.all_input_nodes
        if any(each not in self._values for each in reads) or not self._is_function(node):
            return False
        if not reads and operation(node.target)[0] in ("getattr", "getitem"):
            return False
        args, options = self._torch.fx.map_arg((node.args, node.kwargs), self._values.__getitem__)
        try:
            with self._torch.no_grad():
                if isinstance(node.target, str):
                    found = getattr(args[0], node.target)(*args[1:], **options)
                else:
                    found = node.target(*args, **options)
        except Exception as fault:  # what cannot be computed is a row, which says why
            first_line(fault)
            return False
        self._values[node] = found
        return True

    def tensor(self, node: Any) -> Any:
        """What was computed, where it is a tensor."""
        found = self._values.get(node)
        return found if isinstance(found, self._torch.Tensor) else None

    def number(self, node: Any) -> Any:
        """What was computed, where it is a number, or several in a tuple."""
        return self._values.get(node)

    def _is_function(self, node: Any) -> bool:
        if node.op == "call_method":
            return True
        if node.op != "call_function" or not is_torchs(node.target, self._torch):
            return False
        drawn = self._torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())
        name = operation(node.target)[0]
        return not (drawn or name.startswith(("rand", "normal", "bernoulli", "empty")))
