"""``pb.accumulate``: the Jacobian of a program of numbers by the cheapest elimination."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod

from pullback.errors import ConfigError, positive, shown, unknown, whole
from pullback.ir import Node, walk
from pullback.ir.sizes import axis_sizes
from pullback.ir.unroll import unrolled
from pullback.net.expression import Expression
from pullback.net.inputs import BATCH, free
from pullback.net.modes import one_by_one
from pullback.net.network import Network
from pullback.notebook import can_animate
from pullback.plan.elimination.accumulation import Accumulation
from pullback.plan.elimination.orders import best
from pullback.plan.elimination.program import straight_line
from pullback.plan.elimination.tape import Leaf


def accumulate(
    subject: Expression | Network | Sequence[Expression],
    wrt: str | Sequence[str] | None = None,
    *,
    sizes: Mapping[str, int] | None = None,
    seconds: float = 2.0,
    seed: int = 0,
    progress: bool = True,
) -> Accumulation:
    """The Jacobian of an expression or a network, by the cheapest elimination of its vertices.

    Every number is a vertex, so it is for formulas: kinematics, kinetics, a cell of a loop. Several
    expressions over the same variables are one program with all of their results. ``wrt`` are
    variables (all by default), of a network inputs or parameters (its inputs); ``sizes`` the
    lengths of axes by name, and the axes of a network's input where it does not say them. Up to 18
    inner vertices all orders are weighed; beyond, annealing takes ``seconds`` of processor time.
    Raises ConfigError for a length that is not given and for programs that are too long,
    UnknownNameError for another ``wrt``, NotApplicableError for what is no program of numbers.
    Griewank and Walther, Evaluating Derivatives, 2nd edition, chapter 9.

    >>> import pullback as pb
    >>> a = accumulate(pb.expr("sin(x*y)*exp(x*y)", x="", y=""))
    >>> a.fma, a.order, a.proven
    (4, ('v4', 'v3', 'v2'), True)
    >>> float(a(x=0.0, y=2.0)["x"])
    2.0
    """
    positive("seconds", seconds)
    roots, leaves, default = _read(subject)
    known = {leaf.name: leaf for leaf in leaves}
    names = default if wrt is None else (wrt,) if isinstance(wrt, str) else tuple(wrt)
    for name in names:
        if name not in known:
            raise unknown("variable", name, known)
    if not names:
        raise ConfigError("wrt is empty; expected names of variables")
    chosen = tuple(known[name] for name in names)
    axes = {axis.unprimed.name for leaf in leaves for axis in leaf.axes}
    for name in sizes or {}:
        if name not in axes:
            raise unknown("axis", name, axes)
    shapes = {leaf.name: _shape(leaf, sizes or {}) for leaf in leaves}
    every = axis_sizes([*leaves, *walk(unrolled(*roots))], shapes)
    program = straight_line(roots, chosen, every)
    with _bar(progress) as advance:
        tried = best(program.graph, seconds, whole("seed", seed, least=0), advance)
    outputs = [tuple(map(every.of, free(root.axes))) for root in roots]
    shape = outputs[0] if len(roots) == 1 else (sum(map(prod, outputs)),)
    return Accumulation(_title(subject), program, tried, chosen, tuple(leaves), shape)


def _read(subject: object) -> tuple[tuple[Node, ...], list[Leaf], tuple[str, ...]]:
    """The roots, the leaves, and the names of those that change if nobody says it."""
    if isinstance(subject, Network):
        one_by_one(subject)
        xs = tuple(subject.xs.values())
        return (subject.output,), [*subject.parameters.values(), *xs], tuple(subject.xs)
    several = [subject] if isinstance(subject, Expression) else subject
    if not isinstance(several, Sequence) or not all(isinstance(e, Expression) for e in several):
        raise ConfigError(
            f"accumulate takes an expression, several of them, or a network; found {shown(subject)}"
        )
    leaves: dict[str, Leaf] = {}
    for each in several:
        for leaf in each.leaves:
            if leaves.setdefault(leaf.name, leaf) != leaf:
                raise ConfigError(f"{leaf.name!r} has other axes in one expression than in another")
    return tuple(each.node for each in several), [*leaves.values()], tuple(leaves)


def _title(subject: object) -> str:
    if isinstance(subject, Network):
        return f"The Jacobian of {subject.model!r}."
    several = [subject] if isinstance(subject, Expression) else subject
    assert isinstance(several, Sequence)
    return f"The Jacobian of {', '.join(each.text for each in several)}."


def _shape(leaf: Leaf, sizes: Mapping[str, int]) -> tuple[int, ...]:
    found = []
    for axis in leaf.axes:
        name = axis.unprimed.name
        size = 1 if axis == BATCH else axis.size or sizes.get(name)
        if size is None:
            raise ConfigError(
                f"accumulate unrolls {leaf.name!r} number by number: how long is its axis "
                f"{name!r}? Say sizes={{{name!r}: …}}"
            )
        if axis.size is not None and (given := sizes.get(name, axis.size)) != axis.size:
            raise ConfigError(
                f"axis {name!r} of {leaf.name!r} is {axis.size} long, and sizes says {given}"
            )
        found.append(whole(f"the size of {name!r}", size))
    return tuple(found)


@contextmanager
def _bar(enabled: bool) -> Iterator[Callable[[float], None]]:
    """A bar for the search in a terminal or a notebook; yields what moves it."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if not (enabled and can_animate(console)):
        yield lambda share: None
        return
    with Progress(console=console) as bar:
        task = bar.add_task("orders tried", total=1.0)
        yield lambda share: bar.update(task, completed=share)
