"""What the compiled epoch can do today: rows of matrices, and products of matrices."""

from __future__ import annotations

from collections.abc import Iterable

from pullback.emit.epoch.schedule import domain, is_total
from pullback.emit.target.matrix import oriented
from pullback.emit.values import (
    AtPlaces,
    Detached,
    ElementwiseStep,
    Lowered,
    Places,
    Product,
    ProgramStep,
    Reduction,
)
from pullback.errors import NotApplicableError
from pullback.ir.axis import show

_INPUTS = ("x", "target", "sample_weight")


def check_loopable(program: Lowered) -> None:
    """Raise NotApplicableError unless every step of a program fits into loops over rows."""
    if len(program.sizes) != 1:
        axes = show(tuple(program.sizes))
        raise _refusal(f"the axes {axes} have no known length", "the batch")
    for key, value in program.inputs.items():
        if key not in _INPUTS:
            raise _refusal(f"there is the input {key!r}", "one input, called x")
        if value.source == "whole":
            raise _refusal(f"{key} holds whole numbers", "real numbers")
    for key, value in program.parameters.items():
        if key not in program.results:
            raise _refusal(f"{key} is frozen", "parameters that all learn")
        if not value.axes or any(axis.size is None for axis in value.axes):
            raise _refusal(f"{key} has the axes {show(value.axes)}", "layers")
    held = {**program.parameters, **program.inputs, "the output": program.results["output"]}
    for key, value in held.items():
        if len(value.axes) > 2 or (key == "the output" and len(value.axes) < 2):
            raise _refusal(f"{key} has the axes {show(value.axes)}", "rows and matrices")
    for step in program.steps:
        if (fault := _fault(step)) is not None:
            what = program.equations.get(step.out.name, step.out.name)
            raise _refusal(f"{what} {fault}", "rows and matrices")


def check_samples_apart(program: Lowered, sums: Iterable[ProgramStep]) -> None:
    """Raise NotApplicableError where the loss needs a sum over the samples of a batch first.

    ``sums`` are the steps that are done after the loss is known.
    """
    late = {step.out.name for step in sums}
    for key in ("loss", "output"):
        if program.results[key].name in late:
            raise _refusal(f"the {key} takes sums over the batch", "samples one by one")


def _refusal(found: str, expected: str) -> NotApplicableError:
    return NotApplicableError(
        f"the compiled engine is for {expected}, but {found}: "
        "engine='numpy' runs it, and engine='auto' finds that out by itself"
    )


def _fault(step: ProgramStep) -> str | None:
    """Why loops over rows cannot do a step."""
    axes = domain(step)
    if isinstance(step, ElementwiseStep):
        return None if len(axes) <= 2 else f"has the axes {show(axes)}"
    if isinstance(step, Product) and step.left.axes != step.right.axes:
        return None if oriented(step) else f"multiplies over the axes {show(axes)}"
    if isinstance(step, (AtPlaces, Places)):
        return "looks something up"
    if isinstance(step, Detached):
        return "is not differentiated"
    if not isinstance(step, (Product, Reduction)):
        return "takes a slice, or a trace"
    if len(axes) > 2:
        return f"reduces the axes {show(axes)}"
    kind = step.kind if isinstance(step, Reduction) else "sum"
    # the largest of each worker's rows would have to be compared, not added
    if kind != "sum" and (is_total(step) or len(axes) < 2):
        return f"takes a {kind} over {show(axes[:1])}"
    return None
