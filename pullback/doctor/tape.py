"""What a module does, call by call: every function of torch, where it stands, what it gave.

The calls are noted while they run, so a module is read whatever its code is made of.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pullback.doctor.setup import TrainingSetup, parts
from pullback.interop.extras import Late

torch: Any = Late("torch", "torch")

AFFINE = {"linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d",
          "conv_transpose3d", "bilinear", "addmm"}  # fmt: skip
# the slopes of these are near 0 on at least one side
POINTWISE = {"relu", "relu_", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "softplus",
             "tanh", "sigmoid", "hardtanh", "hardsigmoid", "hardswish", "relu6", "mish", "softsign",
             "prelu", "logsigmoid", "tanhshrink", "rrelu"}  # fmt: skip
SQUASHING = {"sigmoid", "tanh", "hardtanh", "hardsigmoid", "softsign"}
NORMS = {"batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm"}
# what moves entries, and changes none
PASSING = {"view", "reshape", "flatten", "squeeze", "unsqueeze", "contiguous", "permute",
           "transpose", "dropout", "identity", "to", "float", "clone", "view_as", "T"}  # fmt: skip


# what torch and the module's own code raise for data that do not fit
FAULTS = (RuntimeError, ValueError, IndexError, TypeError, KeyError, AttributeError)


def said(fault: Exception) -> str:
    """What torch says, in one line."""
    return str(fault).strip().partition("\n")[0] or type(fault).__name__


@dataclass
class TorchCall:
    """One call: the function's name, the path of the module that it stands in, its tensors."""

    name: str
    path: str
    given: tuple[Any, ...]
    out: Any
    options: dict[str, Any]

    @property
    def axis(self) -> int | None:
        """The axis of a softmax, as torch takes it."""
        dim = self.options.get("dim")
        if dim is None:
            rest = [a for a in self.given[1:] if isinstance(a, int)]
            dim = rest[0] if rest else None
        return None if dim is None else int(dim) % self.out.dim()


@dataclass
class Recording:
    """The calls of one forward pass, in order, and what the module gave."""

    calls: list[TorchCall] = field(default_factory=list)
    out: Any = None
    fault: str = ""  # what torch said where it stopped, and the path of the module that ran
    stopped: str = ""

    def named(self, *names: str) -> list[TorchCall]:
        """The calls of these functions, in order."""
        return [call for call in self.calls if call.name in names]

    def source(self, tensor: Any) -> TorchCall | None:
        """The call that made a tensor, behind calls that only move entries."""
        for call in reversed(self.calls):
            if call.out is tensor:
                if call.name in PASSING and call.given and call.given[0] is not tensor:
                    return self.source(call.given[0])
                return call
        return None

    @property
    def last(self) -> TorchCall | None:
        """The call that made the output."""
        return self.source(self.out)

    @property
    def affine(self) -> list[TorchCall]:
        """The layers with weights, in order."""
        return self.named(*AFFINE)


def record(setup: TrainingSetup, x: Any) -> Recording:
    """Run the module on inputs as it is now, and note its calls."""
    tape, where = Recording(), [""]

    mode: Any = torch.overrides.TorchFunctionMode

    class Noting(mode):  # type: ignore[misc]
        def __torch_function__(
            self, call: Any, types: Any, args: Any = (), options: Any = None
        ) -> Any:
            out = call(*args, **(options or {}))
            if isinstance(out, torch.Tensor):
                name = getattr(call, "__name__", "").removesuffix("_") or str(call)
                tape.calls.append(TorchCall(name, where[-1], tuple(args), out, options or {}))
                if out.requires_grad and not out.is_leaf:
                    out.retain_grad()
            return out

    with inside(setup.module, where), Noting():
        try:
            tape.out = setup.call(x)
        except FAULTS as fault:
            tape.fault, tape.stopped = said(fault), where[-1]
    return tape


@contextmanager
def inside(module: Any, where: list[str]) -> Iterator[None]:
    """Keep the path of the module that is running as the last of ``where``."""
    hooks: list[Any] = []

    def watch(path: str, part: Any) -> None:
        hooks.append(part.register_forward_pre_hook(lambda *_: where.append(path)))
        hooks.append(part.register_forward_hook(lambda *_: where.__delitem__(-1)))

    seen: set[int] = set()
    for path, part in parts(module):
        if id(part) not in seen:
            seen.add(id(part))
            watch(path, part)
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
