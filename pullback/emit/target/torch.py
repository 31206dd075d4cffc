"""A program as a ``torch.autograd.Function``: our forward pass, our backward pass."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pullback.emit.expression.quote import docstring, indented, literal
from pullback.emit.target.language import ArrayLanguage, Task
from pullback.emit.target.module import array_function, module, rows_of_labels
from pullback.emit.target.statements import Statements
from pullback.emit.values import ProgramStep

RESERVED = frozenset(
    {"torch", "params", "inputs", "ctx", "grad", "value", "Loss", "value_and_grad"}
)
TORCH = ArrayLanguage(
    key="torch",
    module="torch",
    imports=("import torch",),
    maximum="torch.maximum(a, b)",
    minimum="torch.minimum(a, b)",
    clamp_min="torch.clamp(a, min=b)",
    clamp_max="torch.clamp(a, max=b)",
    where="torch.where(c, a, b)",
    # of two numbers alone torch makes single precision
    choose="torch.where(c, torch.tensor(a, dtype=d.dtype), torch.tensor(b, dtype=d.dtype))",
    sqrt="torch.sqrt(a)",
    axis="dim",
    max_over="torch.amax(a, dim=o)",
    logsumexp="torch.logsumexp(a, dim=o)",
    permute="a.permute",
    cast="a.to(d)",
    whole="torch.int64",
    pad="torch.nn.functional.pad",
    add_at="z.flatten(k).index_add_(k, (f).flatten(), a.flatten(k))",
    put_at="z.index_put_(q, a, accumulate=True)",
    argmax="torch.argmax(a, dim=o)",
    triangle="torch.ones(n, n).triu().flatten().nonzero().flatten()",
    held="a.detach()",
    pads_from_last=True,
)


def emit(tasks: Sequence[Task], title: Iterable[str]) -> str:
    """A module: a Function for the task with a value, plain functions for the others."""
    parts = []
    for task in tasks:
        parts += _function(task) if task.value is not None else [array_function(task, TORCH)]
    return module(title, TORCH.imports, parts)


def _function(task: Task) -> list[list[str]]:
    """The Function, and a function of the same signature as in every other target."""
    program, value = task.program, task.program.results[task.value or ""]
    statements = Statements(program, TORCH, task.comments)
    forward = _needed_for({value.name}, program.steps)
    backward = [step for step in program.steps if step not in forward]
    leaves = [*program.inputs.values(), *program.parameters.values()]
    made = [out.name for step in forward for out in step.outs]
    reads = {operand.name for step in backward for operand in step.operands}
    results = {program.results[result].name for result in task.keys.values()}
    kept = [v.name for v in leaves] + [name for name in made if name in reads | results]
    slopes = {key: program.results[result].name for key, result in task.keys.items()}
    keys = [*program.inputs, *program.parameters]
    gradients = [f"grad * {slopes[key]}," if key in slopes else "None," for key in keys]
    names = ", ".join(v.name for v in leaves)
    head, body = statements.lines(forward), statements.lines(backward)
    checks = [*statements.shapes(), *statements.checks()]
    function = [
        "class Loss(torch.autograd.Function):",
        '    """The value with its own backward pass; apply takes the arguments of forward."""',
        "",
        "    @staticmethod",
        f"    def forward(ctx, {names}):",
        *indented(statements.floats(), 8),
        *indented(statements.used_sizes([*head, *checks]), 8),
        *indented(checks, 8),
        *indented(head, 8),
        f"        ctx.save_for_backward({', '.join(kept)})",
        f"        return {value.name}",
        "",
        "    @staticmethod",
        "    @torch.autograd.function.once_differentiable",
        "    def backward(ctx, grad):",
        f"        ({', '.join(kept)},) = ctx.saved_tensors",
        *indented(statements.used_sizes(body), 8),
        *indented(body, 8),
        "        return (",
        *indented(gradients, 12),
        "        )",
    ]
    arguments = [value.name for value in program.inputs.values()]
    arguments += [f"params[{literal(key)}]" for key in program.parameters]
    leaf_of = {
        **{key: f"params[{literal(key)}]" for key in program.parameters},
        **{key: leaf.name for key, leaf in program.inputs.items()},
    }
    wanted = ", ".join(leaf_of[key] for key in task.keys)
    labels = rows_of_labels(task, statements)
    call = [
        f"def {task.name}({task.arguments}):",
        f"    {docstring(task.doc)}",
        *indented(task.apart),
        *indented([*statements.unpack(), *labels] if labels else []),
        f"    wanted = [leaf.detach().requires_grad_() for leaf in ({wanted},)]",
        *_call(task, arguments, leaf_of),
        "    found = torch.autograd.grad(value, wanted)",
        f"    return value.detach(), dict(zip({list(task.keys)!r}, found))",
    ]
    return [function, call]


def _call(task: Task, arguments: Sequence[str], leaf_of: dict[str, str]) -> list[str]:
    place = {leaf_of[key]: f"wanted[{at}]" for at, key in enumerate(task.keys)}
    chosen = [place.get(argument, argument) for argument in arguments]
    return [f"    value = Loss.apply({', '.join(chosen)})"]


def _needed_for(names: set[str], steps: Sequence[ProgramStep]) -> list[ProgramStep]:
    """The steps that some values depend on, in order."""
    wanted = set(names)
    found = []
    for step in reversed(steps):
        if any(out.name in wanted for out in step.outs):
            wanted |= {operand.name for operand in step.operands}
            found.append(step)
    return found[::-1]
