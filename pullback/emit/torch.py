"""A program as a ``torch.autograd.Function``: our forward pass, our backward pass."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pullback.emit.infix import Dialect
from pullback.emit.statements import Statements, Task, array_function, indented, module
from pullback.emit.values import Step
from pullback.ir.primitives import SELU_ALPHA, SELU_SCALE

_SAME = ("exp", "log", "expm1", "log1p", "tanh", "sinh", "cosh", "sin", "cos", "tan", "abs", "sign",
         "atan", "erf", "sigmoid")  # fmt: skip
RESERVED = frozenset({"torch", "params", "ctx", "grad", "value", "Loss", "value_and_grad"})
TORCH = Dialect(
    module="torch",
    imports=("import torch",),
    functions={
        **{name: f"torch.{name}({{x}})" for name in _SAME},
        "heaviside": "(0.5 + 0.5 * torch.sign({x}))",
        "step": "({x} > 0).to({x}.dtype)",
        "relu": "torch.relu({x})",
        "sigmoid_slope": "(torch.sigmoid({x}) * torch.sigmoid(-{x}))",
        "sech2": "(4.0 * torch.sigmoid(2.0 * {x}) * torch.sigmoid(-2.0 * {x}))",
        "log_cosh": "torch.where(torch.abs({x}) < 1.0, torch.log1p(2.0 * torch.sinh(0.5 * "
        "torch.clamp({x}, -1.0, 1.0)) ** 2), torch.logaddexp({x}, -{x}) - 0.6931471805599453)",
        "softplus": "torch.logaddexp({x}, torch.zeros_like({x}))",
        # torch.special.ndtr is (1 + erf)/2, which is 0 at -10
        "normal_cdf": "(0.5 * torch.erfc(-0.7071067811865476 * {x}))",
        "gelu": "(0.5 * {x} * torch.erfc(-0.7071067811865476 * {x}))",
        "silu": "{x} * torch.sigmoid({x})",
        "elu": "(torch.relu({x}) + torch.expm1(-torch.relu(-{x})))",
        "selu": f"{SELU_SCALE!r} * (torch.relu({{x}}) + "
        f"{SELU_ALPHA!r} * torch.expm1(-torch.relu(-{{x}})))",
    },
    maximum="torch.maximum({0}, torch.as_tensor({1}))",
    minimum="torch.minimum({0}, torch.as_tensor({1}))",
    where="torch.where({0}, {1}, {2})",
    sqrt="torch.sqrt({0})",
    axis="dim",
    max_over="torch.amax({0}, {1})",
    logsumexp="torch.logsumexp({0}, {1})",
    permute="{0}.permute{1}",
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
    forward = _needed_for(value.name, program.steps)
    backward = [step for step in program.steps if step not in forward]
    leaves = [*program.inputs.values(), *program.parameters.values()]
    made = [step.out.name for step in forward if step.out.source == "work"]
    reads = {operand.name for step in backward for operand in step.operands}
    results = {program.results[result].name for result in task.keys.values()}
    kept = [v.name for v in leaves] + [name for name in made if name in reads | results]
    slopes = {key: program.results[result].name for key, result in task.keys.items()}
    keys = [*program.inputs, *program.parameters]
    gradients = [f"grad * {slopes[key]}," if key in slopes else "None," for key in keys]
    names = ", ".join(v.name for v in leaves)
    head, body = statements.lines(forward), statements.lines(backward)
    function = [
        "class Loss(torch.autograd.Function):",
        '    """The value with its own backward pass; apply takes the arguments of forward."""',
        "",
        "    @staticmethod",
        f"    def forward(ctx, {names}):",
        *indented(statements.used_sizes(head), 8),
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
    arguments += [f'params["{key}"]' for key in program.parameters]
    leaf_of = {
        **{key: f'params["{key}"]' for key in program.parameters},
        **{key: leaf.name for key, leaf in program.inputs.items()},
    }
    wanted = ", ".join(leaf_of[key] for key in task.keys)
    call = [
        f"def {task.name}({task.arguments}):",
        f'    """{task.doc}"""',
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


def _needed_for(name: str, steps: Sequence[Step]) -> list[Step]:
    """The steps that a value depends on, in order."""
    wanted = {name}
    found = []
    for step in reversed(steps):
        if step.out.name in wanted:
            wanted |= {operand.name for operand in step.operands}
            found.append(step)
    return found[::-1]
