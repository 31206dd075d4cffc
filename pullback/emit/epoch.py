"""Many steps of training as one function: gather, forward, backward, update, without a return.

The body comes from the same lowered steps as every other target; what is added here is the loop over
batches around it. Numba compiles the source; it needs NumPy and our vector mathematics only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pullback.emit.loops import Loops, loops
from pullback.emit.values import Lowered
from pullback.ir import Axes
from pullback.ir.primitives import PRIMITIVES

RESERVED = frozenset(
    "np real inf vector gradient rows order batch_size rates losses k row right first_step "
    "top total i j start hits run isfinite score threshold rows_x rows_target "
    "rows_sample_weight sqrt max min range len".split()
) | frozenset(PRIMITIVES)


@dataclass(frozen=True)
class Epoch:
    """The source of ``run``, the optimiser's slots and the functions of mathematics it needs."""

    source: str
    slots: tuple[str, ...]
    data: tuple[str, ...]  # the inputs of which each batch takes its rows
    functions: tuple[str, ...]


def epoch(program: Lowered, update: Lowered, shapes: Mapping[str, tuple[int, ...]]) -> Epoch:
    """The steps of a network's program and of an optimiser's update as one function.

    ``program`` has the results loss, output and a gradient for each parameter; ``shapes`` gives the
    parameters in the order in which they lie in the vector of all weights.
    """
    body = _network(program)
    (size,) = program.sizes.values()
    change = _update(update)
    given = {key: value.name for key, value in update.inputs.items()}
    slots = tuple(n for n in update.inputs if n not in ("weight", "gradient", "rate", "step"))
    data = {key: value for key, value in program.inputs.items()}
    lines = [
        '"""Steps of training, compiled as a whole."""',
        "",
        "",
        f"def run(vector, {''.join(f'{s}, ' for s in slots)}{''.join(f'rows_{key}, ' for key in data)}order,"
        " batch_size,"
        " rates, first_step, score, threshold, losses):",
        '    """Learn from one batch a rate; give back the batch that failed, or -1, and the hits."""',
        "    gradient = np.empty_like(vector)",
        *_views(program, shapes),
    ]
    arrays = {**body.arrays, **{v.name: v.axes for v in data.values()}}
    output = program.results["output"]
    arrays[output.name] = output.axes
    lines += [f"    {name}_all = np.empty({_shape(axes)}, vector.dtype)" for name, axes in arrays.items() if _is_open(axes)]
    lines += [f"    {name} = np.empty({_shape(axes)}, vector.dtype)" for name, axes in arrays.items() if not _is_open(axes)]
    lines += [
        "    right = 0",
        "    for k in range(len(rates)):",
        "        start = k * batch_size",
        f"        {size.name} = min(batch_size, len(order) - start)",
        *[f"        {name} = {name}_all[:{size.name}]" for name, axes in arrays.items() if _is_open(axes)],
        f"        for i in range({size.name}):",
        "            row = order[start + i]",
    ]
    for key, value in data.items():
        if len(value.axes) == 1:
            lines.append(f"            {value.name}[i] = rows_{key}[row]")
            continue
        lines += [
            f"            for j in range({value.axes[1].size}):",
            f"                {value.name}[i, j] = rows_{key}[row, j]",
        ]
    lines += [f"        {line}" for line in body.lines]
    lines += [
        f"        losses[k] = {program.results['loss'].name}",
        f"        if not isfinite({program.results['loss'].name}):",
        "            return k, right",
        "        if score:",
        f"            right += hits({output.name}, {program.inputs['target'].name}, threshold)",
        f"        {given['rate']} = rates[k]",
        *([f"        {given['step']} = real(first_step + k)"] if "step" in given else []),
        *[f"        {line}" for line in change.lines],
        "    return -1, right",
        "",
    ]
    return Epoch("\n".join(lines), slots, tuple(data), tuple(sorted(body.functions | change.functions)))


def _network(program: Lowered) -> Loops:
    given = {value.name: value.name for value in (*program.parameters.values(), *program.inputs.values())}
    given |= {value.name: value.name for value in program.results.values() if value.axes}
    return loops(program, given)


def _update(update: Lowered) -> Loops:
    """The optimiser's loop over all weights; each result overwrites the input of its name."""
    place = {"weight": "vector", "gradient": "gradient"}
    given = {value.name: place.get(key, key) for key, value in update.inputs.items() if value.axes}
    given |= {value.name: place.get(key, key) for key, value in update.results.items()}
    (size,) = update.sizes.values()
    result = loops(update, given, prefix="B")
    result.lines.insert(0, f"{size.name} = len(vector)")
    return result


def _views(program: Lowered, shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Each parameter and its gradient as a part of its vector."""
    lines, start = [], 0
    for key, shape in shapes.items():
        end = start
        size = 1
        for length in shape:
            size *= length
        end = start + size
        shaped = f".reshape({', '.join(map(str, shape))})" if len(shape) > 1 else ""
        for vector, value in (
            ("vector", program.parameters[key]),
            ("gradient", program.results[key]),
        ):
            lines.append(f"    {value.name} = {vector}[{start}:{end}]{shaped}")
        start = end
    return lines


def _is_open(axes: Axes) -> bool:
    return any(axis.size is None for axis in axes)


def _shape(axes: Axes) -> str:
    sizes = ["batch_size" if axis.size is None else str(axis.size) for axis in axes]
    return f"({sizes[0]},)" if len(sizes) == 1 else f"({', '.join(sizes)})"
