"""Many steps of training as one function: gather, forward, backward, update, without a return.

The body comes from the same lowered steps as every other target; what is added here is the loop
over batches around it. Workers run the function, each on its share of the rows. Numba compiles the
source; it needs our matrix products, our vector mathematics, and no memory but what it is given.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pullback.emit.early import slopes_early
from pullback.emit.epoch.arguments import Argument, Epoch, Size
from pullback.emit.epoch.loopable import check_loopable, check_samples_apart
from pullback.emit.epoch.loops import Into
from pullback.emit.epoch.profile import Variant, products_alone, timed
from pullback.emit.epoch.schedule import Block, Whole, schedule, sums_last
from pullback.emit.epoch.shares import MEET, Shares, share
from pullback.emit.epoch.update import Update
from pullback.emit.lower import lower
from pullback.emit.names import Reserved
from pullback.emit.values import Lowered, Product, ProgramStep, Value
from pullback.ir import Axes, Input, Node, Parameter
from pullback.ir.scalar.primitives import PRIMITIVES
from pullback.vmath.compiled import NAMES

_TEMPLATE = '''"""Steps of training, compiled as a whole."""
{functions}


def run({arguments}):
    """Learn from one batch a rate, as one of the workers; the batch that failed, or -1."""
    {arrays}
    {own}
    {shares}
    hit = 0
    for k in range(steps):
        start = k * batch_size
        {size} = min(batch_size, samples - start)
        first, end = share({size}, worker, workers)
        for i in range(first, end):
            row = order[start + i]
            {gather}
        {forward}
        {judge}
        {numbers}
        {gradients}
        {meet}
    hits[worker] = hit
    return -1
'''
_OWN_NAMES = """
    real inf vector gradient row order batch_size rates losses k first_step top total i j
    start samples steps share first end worker workers meeting meet sums hit hits count_hits
    isfinite score threshold rows sqrt max min range len
    matmul gemm add_rows sum_up run update begin stop carray
    njit spent since lap cycles
"""
RESERVED = Reserved(
    frozenset(_OWN_NAMES.split()) | frozenset(PRIMITIVES) | NAMES,
    # work arrays, each worker's own ones, addresses, shares, and local variables
    r"[AB][0-9]+|.*_(own|each|at)|(rows|first|end|update)_.*|.*_",
)
_NUMBERS = "worker workers rows samples batch_size steps first_step score"
_PER_STEP = {"rate": "rates[k]", "step": "real(first_step + k)"}


def training_epoch(
    roots: Mapping[str, Node],
    update: Mapping[str, Node],
    leaves: Sequence[Input | Parameter],
    variant: Variant = "training",
) -> Epoch:
    """The steps of a network's training and of an optimiser's update as one function.

    ``roots`` are the loss, the output and a gradient for each parameter, ``update`` the optimiser's
    equations; ``leaves`` has the inputs, and the parameters in the order in which they lie in the
    vector of all weights, those that nothing reads too. The variant ``profile`` adds up in
    ``spent`` (workers, kinds) how many ticks of the processor's clock each kind of work takes;
    ``products`` multiplies the matrices and does nothing else. Raises NotApplicableError for what
    does not fit into loops over rows.
    """
    program = lower(roots, RESERVED, leaves)
    check_loopable(program)
    shapes = {
        leaf.name: tuple(axis.size or 0 for axis in leaf.axes)
        for leaf in leaves
        if isinstance(leaf, Parameter)
    }
    return _Writer(program, lower(update, RESERVED), shapes, variant).epoch()


def _reads(block: Block) -> list[Value]:
    return [value for step in block.steps() for value in step.operands]


class _Writer:
    def __init__(
        self,
        program: Lowered,
        update: Lowered,
        shapes: Mapping[str, tuple[int, ...]],
        variant: Variant,
    ) -> None:
        self.program, self.shapes, self.variant = program, shapes, variant
        slots = tuple(n for n in update.inputs if n not in ("weight", "gradient", *_PER_STEP))
        self.update = Update(update, slots)
        taken = (value.name for value in (*program.parameters.values(), *program.inputs.values()))
        single, numbers, sums = sums_last(slopes_early(program.steps, taken))
        check_samples_apart(program, sums)
        self.forward = [*schedule(single), *schedule(numbers)]
        self.backward = schedule(sums)
        arrays = [*program.parameters.values(), *program.inputs.values()]
        arrays += [value for value in program.results.values() if value.axes]
        given = {value.name: value.name for value in arrays}
        self.crew = Shares(program, [*self.forward, *self.backward], given)
        (self.size,) = (value.name for value in program.sizes.values())

    def epoch(self) -> Epoch:
        """The source, made from top to bottom: what is shared out shows on the way."""
        crew, results, inputs = self.crew, self.program.results, self.program.inputs
        crew.start(inputs.values())
        forward = [line for block in self.forward for line in crew.lines(block)]
        forward += crew.sum_of(results["loss"])
        gradients, arguments = self._gradients(), self._arguments()
        blocks = {
            "functions": [line for text in self.update.functions for line in text.splitlines()],
            "arrays": [each.as_array() for each in arguments if each.shape is not None],
            "own": [f"{name}_own = {name}_each[worker]" for name in crew.own],
            "shares": self._shares(),
            "gather": [line for item in inputs.items() for line in _gathered(*item)],
            "forward": forward,
            "judge": self._judge(),
            "numbers": self._numbers(),
            "gradients": gradients,
            "meet": [MEET],
        }
        words = {
            "arguments": ", ".join(argument.given for argument in arguments),
            "size": self.size,
        }
        if self.variant != "training":
            blocks = (timed if self.variant == "profile" else products_alone)(blocks)
        functions = tuple(sorted(crew.loops.functions | self.update.loops.functions))
        source = _filled(blocks, words)
        slots, named = self.update.slots, self._named()
        return Epoch(source, arguments, slots, named, tuple(inputs), functions)

    def _judge(self) -> list[str]:
        """What is told of the batch before anything is learnt from it."""
        results, target = self.program.results, self.program.inputs["target"].name
        loss, output = results["loss"].name, results["output"].name
        return [
            "if worker == 0:",
            f"    losses[k] = {loss}",
            f"if not isfinite({loss}):",
            "    hits[worker] = hit",
            "    return k",
            "if score:",
            f"    hit += count_hits({output}[first:end], {target}[first:end], threshold)",
        ]

    def _gradients(self) -> list[str]:
        """Each gradient, and the update of its parameter as soon as that may be."""
        lines, at_once = list[str](), self.update.at_once
        left = {self.program.results[key].name: key for key in self.shapes}
        known: list[str] = []  # gradients of parameters that are still read
        for at, block in enumerate(self.backward):
            later = {v.name for each in self.backward[at + 1 :] for v in _reads(each)}
            if isinstance(block, Whole) and (into := self._straight(block.step, left, later)):
                assert isinstance(block.step, Product)
                lines += self.crew.product(block.step, into)
                del left[block.step.out.name]
                continue
            lines += self.crew.lines(block)
            known += [key for step in block.steps() if (key := left.pop(step.out.name, ""))]
            free = [key for key in known if self.program.parameters[key].name not in later]
            known = [key for key in known if key not in free]
            lines += self._updates(free) if at_once else []
        for key in left.values():
            lines += self.crew.sum_of(self.program.results[key])
            lines += self._updates([key]) if at_once else []
        if not at_once:
            lines += self.update.after_all(list(self._parts().values()), self.crew.sums)
        return lines

    def _updates(self, keys: Sequence[str]) -> list[str]:
        """A worker's part of some parameters updated, when nobody else reads it any more."""
        parts = self._parts()
        return [
            line
            for key in keys
            for line in (
                *self.crew.changes(self.program.parameters[key]),
                self.update.sweeps[0].call(parts[key]),
            )
        ]

    def _straight(
        self, step: ProgramStep, gradients: Mapping[str, str], later: set[str]
    ) -> Into | None:
        """The parameter that a product can go to at once: nobody else wants the gradient."""
        key, linear = gradients.get(step.out.name), self.update.linear
        if not isinstance(step, Product) or key is None or linear is None:
            return None
        name = self.program.parameters[key].name
        return None if {step.out.name, name} & later else Into(*linear, name)

    def _parts(self) -> dict[str, str]:
        """From where to where in all weights a worker's part of each parameter lies."""
        parts, start = dict[str, str](), 0
        for key, shape in self.shapes.items():
            axis = self.program.parameters[key].axes[0]
            self.crew.shares[axis] = None
            row = math.prod(shape[1:])
            times = f" * {row}" if row > 1 else ""
            ends = [
                f"{start} + {name}{times}" if start else f"{name}{times}" for name in share(axis)
            ]
            parts[key] = ", ".join(ends)
            start += math.prod(shape)
        return parts

    def _numbers(self) -> list[str]:
        update = self.update
        given = [
            f"{update.program.inputs[key].name} = {source}"
            for key, source in _PER_STEP.items()
            if key in update.program.inputs
        ]
        return given + update.numbers()

    def _named(self) -> dict[str, tuple[str, str]]:
        """What each parameter and its gradient are called."""
        parameters, results = self.program.parameters, self.program.results
        return {key: (parameters[key].name, results[key].name) for key in self.shapes}

    def _shares(self) -> list[str]:
        known = sorted({axis.size for axis in self.crew.shares if axis.size is not None})
        return [f"first_{n}, end_{n} = share({n}, worker, workers)" for n in known]

    def _arguments(self) -> tuple[Argument, ...]:
        program, crew = self.program, self.crew
        weights = sum(math.prod(shape) for shape in self.shapes.values())
        every = ["vector", "gradient", *self.update.slots, *self.update.loops.arrays]
        work = {value.name: value.axes for value in program.inputs.values()} | crew.loops.arrays
        work[program.results["output"].name] = program.results["output"].axes
        given = {f"rows_{key}": value.axes for key, value in program.inputs.items()}
        return (
            *(Argument(name, "whole") for name in _NUMBERS.split()),
            Argument("threshold", "real"),
            Argument("meeting", "whole", (1,)),
            Argument("hits", "whole", ("workers",)),
            Argument("order", "whole", ("samples",)),
            Argument("rates", "real", ("steps",)),
            Argument("losses", "real", ("steps",)),
            Argument("sums", "real", ("workers", max(16, len(crew.sums)))),
            *([Argument("spent", "whole", ("workers", 16))] if self.variant == "profile" else []),
            *(Argument(name, "real", (weights,)) for name in every),
            *(
                Argument(name, "real", self.shapes[key])
                for key, names in self._named().items()
                for name in names
            ),
            *(Argument(name, "real", ("rows", *_shape(axes)[1:])) for name, axes in given.items()),
            *(Argument(name, "real", _shape(axes)) for name, axes in work.items()),
            *(Argument(f"{n}_each", "real", ("workers", *_shape(a))) for n, a in crew.own.items()),
        )


def _filled(blocks: Mapping[str, list[str]], words: Mapping[str, str]) -> str:
    """The template with its words, and with its blocks at the depth where they stand."""
    lines: list[str] = []
    for line in _TEMPLATE.splitlines():
        name = line.strip().strip("{}")
        if name in blocks:
            indent = line[: len(line) - len(line.lstrip())]
            lines += [indent + each if each else "" for each in blocks[name]]
        else:
            lines.append(line.format(**words))
    return "\n".join(lines) + "\n"


def _shape(axes: Axes) -> tuple[Size, ...]:
    return tuple("batch_size" if axis.size is None else axis.size for axis in axes)


def _gathered(key: str, value: Value) -> list[str]:
    """One row of the data copied to its place in the batch."""
    if len(value.axes) == 1:
        return [f"{value.name}[i] = rows_{key}[row]"]
    return [
        f"for j in range({value.axes[1].size}):",
        f"    {value.name}[i, j] = rows_{key}[row, j]",
    ]
