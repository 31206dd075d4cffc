"""A derivation as code: the equations that it numbers, lowered once and emitted for a target."""

from __future__ import annotations

from collections.abc import Mapping

from pullback import emit
from pullback.derive.roots import Roots
from pullback.emit import target as languages  # each loads when it is asked for
from pullback.errors import unknown
from pullback.ir import Named, Node

# which function computes which kind of derivatives
_FUNCTIONS = {
    "gradient": ("value_and_grad", "The value and its gradients by name."),
    "hessian": ("hessian", "The blocks of the Hessian, by the names of both variables."),
    "hessian_vector_product": (
        "hessian_vector_product",
        "The Hessian times the direction v_….",
    ),
    "jacobian": ("jacobian", "The derivative of every entry of the value, by name."),
    "second": ("second_derivatives", "Those of every entry of the value, by the names of both."),
    "third": ("third_derivatives", "Those of every entry of the value, by the names of all three."),
}


def emit_code(subject: str, roots: Roots, numbers: Mapping[str, int], target: str) -> str:
    """The source of a module that computes the roots; comments are the equations' numbers.

    Raises UnknownNameError for another target.
    """
    if target not in languages.LANGUAGES:
        raise unknown("target", target, languages.LANGUAGES)
    emitter = getattr(languages, target)
    tasks = [
        _task(kind, roots, numbers, emitter.RESERVED)
        for kind in _FUNCTIONS
        if roots.derivatives.get(kind)
    ]
    title = [subject, "", "The numbers in brackets are those of the derivation's equations.", ""]
    source: str = emitter.emit(tasks, title)
    return source


def _task(
    kind: str, roots: Roots, numbers: Mapping[str, int], reserved: frozenset[str]
) -> emit.Task:
    function, doc = _FUNCTIONS[kind]
    keys = {variables: ".".join((kind, *variables)) for variables in roots.derivatives[kind]}
    with_value = kind == "gradient" and roots.value is not None
    wanted = {"value": roots.value} if with_value and roots.value is not None else {}
    wanted |= {keys[variables]: node for variables, node in roots.derivatives[kind].items()}
    named = {key: _named(key, node, kind) for key, node in wanted.items()}
    along = roots.directions if kind == "hessian_vector_product" else ()
    program = emit.lower(named, reserved, (*roots.leaves, *along), measures=roots.measures)
    program.told.update((each.axis.name, str(each)) for each in roots.meetings)
    comments = {
        identifier: f"({numbers[equation]})"
        for identifier, equation in program.equations.items()
        if equation in numbers
    }
    names = [leaf.name for leaf in roots.leaves]
    order = sorted(keys, key=lambda variables: [names.index(each) for each in variables])
    results = {".".join(variables): keys[variables] for variables in order}
    back = "value" if with_value else None
    return emit.Task(function, doc, program, results, back, comments, roots.together, roots.labels)


def _named(key: str, node: Node, kind: str) -> Named:
    """Every root is an equation; that of a network has its name already."""
    if isinstance(node, Named):
        return node
    return Named(key, node, "gradient" if kind == "gradient" and key != "value" else "value")
