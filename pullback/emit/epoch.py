"""Many steps of training as one function: gather, forward, backward, update, without a return.

The body comes from the same lowered steps as every other target; what is added here is the loop
over batches around it. Numba compiles the source; it needs NumPy and our vector mathematics only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pullback.emit.loops import Loops, loops
from pullback.emit.values import Lowered, Value
from pullback.ir import Axes
from pullback.ir.primitives import PRIMITIVES

_TEMPLATE = '''"""Steps of training, compiled as a whole."""


def run(vector, {slots}{data}order, batch_size, rates, first_step, score, threshold, losses):
    """Learn from one batch a rate; give back the batch that failed, or -1, and the hits."""
    gradient = np.empty_like(vector)
    {views}
    {arrays}
    right = 0
    for k in range(len(rates)):
        start = k * batch_size
        {size} = min(batch_size, len(order) - start)
        {batch}
        for i in range({size}):
            row = order[start + i]
            {gather}
        {steps}
        losses[k] = {loss}
        if not isfinite({loss}):
            return k, right
        if score:
            right += hits({output}, {target}, threshold)
        {scalars}
        {update}
    return -1, right
'''
_OWN_NAMES = """
    np real inf vector gradient rows order batch_size rates losses k row right first_step top total
    i j start hits run isfinite score threshold rows_x rows_target rows_sample_weight sqrt max min
    range len
"""
RESERVED = frozenset(_OWN_NAMES.split()) | frozenset(PRIMITIVES)
_PER_STEP = {"rate": "rates[k]", "step": "real(first_step + k)"}


@dataclass(frozen=True)
class Epoch:
    """The source of ``run``, the optimiser's slots and the functions of mathematics it needs."""

    source: str
    slots: tuple[str, ...]
    data: tuple[str, ...]  # the inputs of which each batch takes its rows
    functions: tuple[str, ...]


def epoch(program: Lowered, update: Lowered, shapes: Mapping[str, tuple[int, ...]]) -> Epoch:
    """The steps of a network's program and of an optimiser's update as one function.

    ``program`` has the results loss, output and a gradient for each parameter; ``shapes`` gives
    the parameters in the order in which they lie in the vector of all weights.
    """
    steps, change = _network(program), _update(update)
    slots = tuple(n for n in update.inputs if n not in ("weight", "gradient", *_PER_STEP))
    (size,) = (value.name for value in program.sizes.values())
    output, loss = program.results["output"], program.results["loss"]
    arrays = {**steps.arrays, **{v.name: v.axes for v in program.inputs.values()}}
    arrays[output.name] = output.axes
    blocks = {
        "views": _views(program, shapes),
        "arrays": [_made(name, axes) for name, axes in arrays.items()],
        "batch": [f"{n} = {n}_all[:{size}]" for n, axes in arrays.items() if _is_open(axes)],
        "gather": [line for item in program.inputs.items() for line in _gathered(*item)],
        "steps": steps.lines,
        "scalars": [
            f"{update.inputs[key].name} = {source}"
            for key, source in _PER_STEP.items()
            if key in update.inputs
        ],
        "update": change.lines,
    }
    words = {
        "slots": "".join(f"{name}, " for name in slots),
        "data": "".join(f"rows_{name}, " for name in program.inputs),
        "size": size,
        "loss": loss.name,
        "output": output.name,
        "target": program.inputs["target"].name,
    }
    functions = tuple(sorted(steps.functions | change.functions))
    return Epoch(_filled(blocks, words), slots, tuple(program.inputs), functions)


def _filled(blocks: Mapping[str, list[str]], words: Mapping[str, str]) -> str:
    """The template with its words, and with its blocks at the depth where they stand."""
    lines: list[str] = []
    for line in _TEMPLATE.splitlines():
        name = line.strip().strip("{}")
        if name in blocks:
            indent = line[: len(line) - len(line.lstrip())]
            lines += [indent + each for each in blocks[name]]
        else:
            lines.append(line.format(**words))
    return "\n".join(lines) + "\n"


def _network(program: Lowered) -> Loops:
    arrays = [*program.parameters.values(), *program.inputs.values()]
    arrays += [value for value in program.results.values() if value.axes]
    return loops(program, {value.name: value.name for value in arrays})


def _update(update: Lowered) -> Loops:
    """The optimiser's loop over all weights; each result overwrites the input of its name."""

    def places(values: Iterable[tuple[str, Value]]) -> dict[str, str]:
        return {v.name: "vector" if key == "weight" else key for key, v in values if v.axes}

    given = places(update.inputs.items()) | places(update.results.items())
    (size,) = update.sizes.values()
    result = loops(update, given, prefix="B")
    result.lines.insert(0, f"{size.name} = len(vector)")
    return result


def _views(program: Lowered, shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Each parameter and its gradient as a part of its vector."""
    lines, start = list[str](), 0
    for key, shape in shapes.items():
        end = start + math.prod(shape)
        shaped = f".reshape({', '.join(map(str, shape))})" if len(shape) > 1 else ""
        lines.append(f"{program.parameters[key].name} = vector[{start}:{end}]{shaped}")
        lines.append(f"{program.results[key].name} = gradient[{start}:{end}]{shaped}")
        start = end
    return lines


def _made(name: str, axes: Axes) -> str:
    """A work array; one with a row a sample is made for a whole batch and cut for the last one."""
    sizes = ["batch_size" if axis.size is None else str(axis.size) for axis in axes]
    shape = f"({sizes[0]},)" if len(sizes) == 1 else f"({', '.join(sizes)})"
    return f"{name}{'_all' if _is_open(axes) else ''} = np.empty({shape}, vector.dtype)"


def _gathered(key: str, value: Value) -> list[str]:
    """One row of the data copied to its place in the batch."""
    if len(value.axes) == 1:
        return [f"{value.name}[i] = rows_{key}[row]"]
    return [
        f"for j in range({value.axes[1].size}):",
        f"    {value.name}[i, j] = rows_{key}[row, j]",
    ]


def _is_open(axes: Axes) -> bool:
    return any(axis.size is None for axis in axes)
