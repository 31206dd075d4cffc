"""What a module does, call by call: every function of torch, where it stands, what it gave.

The calls are noted while they run, so a module is read whatever its code is made of.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pullback.doctor.frames import line_of, outside
from pullback.doctor.setup import TrainingSetup, parts
from pullback.errors import shown
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


def error(x: Any) -> Any:
    """δ at a tensor, after the backward pass; None where none came to it."""
    if not isinstance(x, torch.Tensor) or not x.requires_grad:
        return None
    return x.grad if x.is_leaf or x.retains_grad else None


def not_finite(x: Any) -> int:
    """How many numbers are NaN or infinite."""
    return int((~torch.isfinite(x)).sum()) if x.is_floating_point() else 0


@dataclass(eq=False)
class TorchCall:
    """One call: the function's name, the path of the module that it stands in, its tensors."""

    name: str
    path: str
    given: tuple[Any, ...]
    out: Any
    options: dict[str, Any]
    line: str = ""  # of the code that calls, outside of torch

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
    given: Any = None  # by the module, as the loss takes it
    out: Any = None  # the tensor in it that is the prediction
    fault: str = ""  # what torch said where it stopped, and the path of the module that ran
    stopped: str = ""

    def named(self, *names: str) -> list[TorchCall]:
        """The calls of these functions, in order."""
        return [call for call in self.calls if call.name in names]

    def source(self, tensor: Any, before: TorchCall | None = None) -> TorchCall | None:
        """The call that made a tensor, behind calls that only move entries.

        Of those before another one: a dropout of 0, or a ReLU in place, gives what it is given.
        """
        upto = None if before is None else self.calls.index(before)
        for call in reversed(self.calls[:upto]):
            if call.out is tensor:
                moves = call.name in PASSING and call.given
                return self.source(call.given[0], call) if moves else call
        return None

    @property
    def first_not_finite(self) -> TorchCall | None:
        """The first call that makes NaN or infinity."""
        return next((call for call in self.calls if not_finite(call.out)), None)

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
                tape.calls.append(
                    TorchCall(
                        name,
                        where[-1],
                        tuple(args),
                        out,
                        options or {},
                        line_of(next(outside(), None)),
                    )
                )
                if out.requires_grad and not out.is_leaf:
                    out.retain_grad()
            return out

    with inside(setup.module, where), Noting():
        try:
            tape.given = setup.call(x)
        except FAULTS as fault:
            tape.fault, tape.stopped = said(fault), where[-1]
    if not tape.fault:
        tape.out = prediction(tape.given)
        if tape.out is None:
            tape.fault = f"the module gives {shown(tape.given)}, and no tensor"
    return tape


def prediction(given: Any) -> Any:
    """The first tensor in what a module gives: a tuple, a list, a dict or a record of them."""
    if isinstance(given, torch.Tensor):
        return given
    if not isinstance(given, list | tuple | dict):
        given = getattr(given, "__dict__", {})
    inner = given.values() if isinstance(given, dict) else given
    return next((found for x in inner if (found := prediction(x)) is not None), None)


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
