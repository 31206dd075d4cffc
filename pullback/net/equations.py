"""What a user's own blocks build is looked at before any work starts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pullback import ir
from pullback.errors import ConfigError, ShapeError
from pullback.ir import Input, Named, Node, Parameter, Scan, walk
from pullback.ir.axis import show
from pullback.ir.graph import named_once
from pullback.nn import Block, Loss, ParameterSpec


def check_model(
    model: Block, specs: Sequence[ParameterSpec], roots: Sequence[Node], inputs: Iterable[Input]
) -> None:
    """Do the nodes that a model builds, its output first, keep to what its blocks declare?

    Raises ConfigError for a parameter that only one of ``parameters`` and ``build`` has, for one
    under two sets of axes, for one that is frozen in one of them only, for another input than its
    own and for two equations of one name;
    ShapeError for a parameter of another shape.
    """
    given = set(inputs)
    declared = {spec.name: spec for spec in specs}
    found: dict[str, Parameter] = {}
    for node in walk(roots):
        if isinstance(node, Input) and node not in given:
            raise ConfigError(
                f"{model!r} reads the input {node.name!r} {show(node.axes)}; a block has its "
                "argument x and its parameters only"
            )
        if isinstance(node, Named) and node not in roots[1:]:
            _check_role(node)
        if not isinstance(node, Parameter):
            continue
        if node.name not in declared:
            raise ConfigError(
                f"{model!r} builds with the parameter {node.name!r}, which its parameters(path) "
                "does not list; make it with at.parameter(…), or add a ParameterSpec"
            )
        other = found.setdefault(node.name, node)
        if other is not node:
            raise ConfigError(
                f"the parameter {node.name!r} stands in {model!r} with the axes {show(other.axes)} "
                f"and {show(node.axes)}; build it once, and Rename its axes where it is used again"
            )
        shape = tuple(axis.size for axis in node.axes)
        spec = declared[node.name]
        if shape != spec.shape:
            raise ShapeError(
                f"the parameter {node.name!r} has the axes {show(node.axes)}, but its "
                f"ParameterSpec has shape {spec.shape}"
            )
        if node.trained != spec.trained:
            where = "Parameter" if spec.trained else "ParameterSpec"
            raise ConfigError(
                f"the parameter {node.name!r} is frozen in its {where} only; give trained=False to "
                "both"
            )
    for name in declared:
        if name not in found and declared[name].kind != "state":
            raise ConfigError(
                f"{model!r} lists the parameter {name!r}, but its build does not use it; "
                "remove its ParameterSpec"
            )
    named_once(roots)


def check_loss(loss: Loss, total: Node, known: Iterable[Node]) -> None:
    """Does a loss read what a network has? Raises ConfigError for any other leaf."""
    given = set(known)
    for node in walk((total,)):
        if isinstance(node, (Input, Parameter)) and node not in given:
            raise ConfigError(
                f"{loss!r} reads {node.name!r} {show(node.axes)}; a loss has the output, the "
                "target and sample_weight only"
            )


def _check_role(node: Named) -> None:
    """δ and the trace find z and a by name; the other roles are those of the backward pass."""
    if node.role not in ("value", "z", "a", "stat") or (node.role != "value" and node.label.text):
        raise ConfigError(
            f"the equation {node.name!r} has the role {node.role!r}; a block names its equations "
            "'z.…' with the role 'z', 'a.…' with the role 'a', or as it likes without a role"
        )


def idle_equations(built: Node, alive: Mapping[str, Named]) -> tuple[Named, ...]:
    """The equations that blocks build and that are not ``alive``, in terms of those that are.

    >>> from pullback.ir import Axis
    >>> idle_equations(Named("z.0", Input("x", (Axis("i"),)), "z"), {})
    (Named('z.0', (i)),)
    """
    done: dict[Node, Node] = {}
    idle: list[Named] = []
    for node in walk((built,)):
        known = alive.get(node.name) if isinstance(node, Named) else None
        made = known or node.rebuild(tuple(done[arg] for arg in node.args))
        done[node] = made
        if isinstance(made, Named) and known is None:
            idle.append(made)
    return tuple(node for node in ir.simplify(*idle) if isinstance(node, Named))


def stacked_equations(roots: Iterable[Node]) -> tuple[Node, ...]:
    """The equations of the loops below some roots, each with its values at all turns."""
    loops = {node.family: node for node in walk(roots) if isinstance(node, Scan)}
    return tuple(loop.stacked(each) for loop in loops.values() for each in loop.body.equations())
