"""From the graph to diagrams: sums of products, flat, with a line for whatever has to be named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pullback.diagram.distribute import distributed
from pullback.diagram.label import (
    function_label,
    length_label,
    pattern_label,
    pattern_meaning,
    read_by,
    stack_label,
    stack_meaning,
    stripped,
)
from pullback.diagram.network_builder import NetworkBuilder
from pullback.diagram.sameness import canonical
from pullback.diagram.tensor_network import (
    DiagramLine,
    DiagramTensor,
    TensorKind,
    TensorNetwork,
)
from pullback.errors import ConfigError
from pullback.ir import (
    Add,
    Axis,
    Constant,
    Contract,
    Input,
    Named,
    Node,
    Parameter,
    Pattern,
    Rename,
    Scan,
    Stack,
    uses,
    walk,
)
from pullback.ir.unroll import after

MOST = 2000  # tensors; more are no picture
_SHORT = 10  # characters of a function that may stand several times
LONGEST = 26  # characters in a node; a longer function has a line of its own
_KINDS: Mapping[str, TensorKind] = {
    "delta": "backward",
    "gradient": "backward",
    "loss": "loss",
}
_STRUCTURE = (Add, Contract, Rename, Constant, Pattern, Stack)
_CIRCLED = "①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳"
_FUNCTIONS = "φψχωξζηθ"


class DiagramReader:
    """The lines of some nodes, each after those that it speaks of.

    ``symbols`` are the names of equations and leaves; other leaves have their own. What is read by
    a function, or is a sum within a product, becomes a line: ①, ②, …; two that differ in nothing
    but the names of their axes are one.
    """

    def __init__(self, symbols: Mapping[Node, str]) -> None:
        self.lines: list[DiagramLine] = []
        self.functions: dict[str, str] = {}  # what a short name stands for
        self._names: dict[Node, str] = dict(symbols)
        self._known: dict[Any, str] = {}
        self._count = 0
        self._drawn = 0

    def add(self, name: str, node: Node) -> None:
        """The line of a node, and before it those that it needs.

        Raises ConfigError where a picture would have too many tensors.
        """
        inner = node.arg if isinstance(node, Named) else node
        inner = distributed(inner, self._names.keys() - {inner})
        order = list(walk((inner,), stop=self._names.keys() - {inner}))
        count = uses((inner,))
        wanted = self._wanted(order, count)
        for each in order:
            if each is inner or each in self._names:
                continue
            if each in wanted or (count[each] > 1 and self._is_long(each)):
                self._define(each)
        self.lines.append(DiagramLine(name, node.axes, self._terms(inner)))

    def _wanted(self, order: Sequence[Node], count: Mapping[Node, int]) -> set[Node]:
        """The nodes that need a name: arguments of functions, sums and shared ones in products."""
        found: set[Node] = set()
        for node in order:
            if node in self._names:
                continue
            if isinstance(node, Contract):
                scaled = _scaled_sum(node)
                for each in map(stripped, node.factors):
                    if isinstance(each, Add) and (count[each] > 1 or scaled is not each):
                        found.add(each)
                    elif isinstance(each, Contract):
                        found |= {each} if count[each] > 1 and _is_product(each) else set()
                        found |= {inner} if (inner := _scaled_sum(each)) is not None else set()
            elif not isinstance(node, _STRUCTURE):
                found |= {stripped(arg) for arg in read_by(node) if self._plain_name(arg) is None}
        return found

    def _is_long(self, node: Node) -> bool:
        """Is it a function that is better written once?"""
        if not node.args or isinstance(node, (*_STRUCTURE, Named)):
            return False
        return len(self._leaf(node).label) > _SHORT

    def _define(self, node: Node) -> None:
        """A line of its own, or the name of one that is the same but for the names of axes."""
        terms = self._terms(node)
        key = len(node.axes), tuple(sorted(map(canonical, terms)))
        if key not in self._known:
            self._count += 1
            few = self._count <= len(_CIRCLED)
            name = _CIRCLED[self._count - 1] if few else f"({self._count})"
            self._known[key] = name
            self.lines.append(DiagramLine(name, node.axes, terms))
        self._names[node] = self._known[key]

    def _plain_name(self, node: Node) -> str | None:
        """What a node is called without a line of its own."""
        inner = stripped(node)
        if inner in self._names:
            return self._names[inner]
        if isinstance(inner, (Input, Parameter, Named)):
            return inner.name
        if isinstance(inner, Constant):
            return f"{inner.value:.12g}"
        return length_label(inner)

    def _terms(self, node: Node) -> tuple[TensorNetwork, ...]:
        free = {axis: ("free", at, axis) for at, axis in enumerate(node.axes)}
        waiting = [_Summand(1.0, node, dict(free), tuple(free.values()))]
        found: list[TensorNetwork] = []
        while waiting:
            each = waiting.pop()
            inside = each.opened(lambda n: n is not node and n in self._names)
            if inside is not None:
                waiting += reversed(inside)
            else:
                found.append(self._term(each, node))
        self._drawn += sum(len(term.tensors) for term in found)
        if self._drawn > MOST:
            raise ConfigError(
                f"the diagram has more than {MOST:,} tensors, too many to look at; draw a part of "
                "it, such as one variable's derivative"
            )
        return tuple(sorted(found, key=_order))

    def _term(self, summand: _Summand, root: Node) -> TensorNetwork:
        build = NetworkBuilder(summand.coefficient)
        ends = {token: build.wire(token[2]) for token in summand.frame}
        legs = tuple(ends[summand.binding[axis]] for axis in summand.node.axes)
        stack: list[tuple[Node, tuple[int, ...]]] = [(summand.node, legs)]
        while stack:
            node, legs = stack.pop()
            if node is not root and (node in self._names or isinstance(node, Named)):
                build.tensor(self._leaf(node), legs)
            elif isinstance(node, Constant):
                build.coefficient *= node.value
            elif isinstance(node, Rename):
                stack.append((node.arg, legs))
            elif isinstance(node, Contract):
                at = dict(zip(node.over, legs, strict=True))
                at |= {axis: build.wire(axis) for axis in node.summed}
                stack += [(f, tuple(at[a] for a in f.axes)) for f in reversed(node.factors)]
            elif isinstance(node, Pattern):
                self._pattern(node, legs, build)
            elif isinstance(node, Stack):
                meaning = stack_meaning(node)
                build.tensor(DiagramTensor(stack_label(node), "pattern", node, (), meaning), legs)
            else:
                build.tensor(self._leaf(node), legs)
        places = [ends[token] for token in summand.frame if token[0] == "free"]
        return build.network(places)

    def _pattern(self, node: Pattern, legs: tuple[int, ...], build: NetworkBuilder) -> None:
        if node.number is not None:
            build.coefficient *= node.number
        elif (part := node.slice) is not None and part.is_whole:
            build.join(*legs)  # an identity is an edge
        else:
            sign, meaning = pattern_label(node), pattern_meaning(node)
            build.tensor(DiagramTensor(sign, "pattern", node, meaning=meaning), legs)

    def _leaf(self, node: Node) -> DiagramTensor:
        if node in self._names or isinstance(node, (Input, Parameter, Named)):
            name = self._plain_name(node) or ""
            return DiagramTensor(name, _kind(node), node, ((node, name),))
        reads = tuple((arg, self._plain_name(arg) or "?") for arg in read_by(node))
        shown = {arg: name + _placed(arg, node, reads) for arg, name in reads}
        texts = [shown[arg] for arg in node.args if arg in shown]
        label, meaning = self._turn(node) or function_label(node, texts), ""
        if len(label) > LONGEST:
            meaning, label = label, self._short(label, list(dict.fromkeys(texts)))
        return DiagramTensor(label, "forward", node, reads, meaning)

    def _turn(self, node: Node) -> str | None:
        """A state of a loop by what a turn leaves of it, where that is an equation."""
        if not isinstance(node, Scan) or node.of not in node.body.states:
            return None
        left = self._names.get(after(node))
        return None if left is None else f"{'after' if node.backward else 'before'}({left})"

    def _short(self, text: str, args: Sequence[str]) -> str:
        """A letter for a function that is too long for a node; the line below says which it is."""
        known = {meaning: name for name, meaning in self.functions.items()}
        if text not in known:
            at = len(self.functions)
            letter = _FUNCTIONS[at % len(_FUNCTIONS)] + "′" * (at // len(_FUNCTIONS))
            of = ", ".join(args)
            known[text] = f"{letter}({of})" if len(of) < LONGEST else f"{letter}(…)"
            self.functions[known[text]] = text
        return known[text]


Token = tuple[str, int, Axis]  # "free" with a place in the result, or "sum" with a number


@dataclass
class _Summand:
    """A node that is still to be opened into terms, and what each of its axes is."""

    coefficient: float
    node: Node
    binding: dict[Axis, Token]
    frame: tuple[Token, ...]  # every index of the term, also those that nothing carries

    def opened(self, known: Any) -> list[_Summand] | None:
        """The summands of a sum, of a number times one, of one under other names; else None."""
        node = self.node
        if known(node) or isinstance(node, Named):
            return None
        if isinstance(node, Add):
            return [
                replace(self, node=t, binding={a: self.binding[a] for a in t.axes})
                for t in node.terms
            ]
        if isinstance(node, Rename):
            over = zip(node.arg.axes, node.axes, strict=True)
            binding = {old: self.binding[new] for old, new in over}
            return [replace(self, node=node.arg, binding=binding)]
        if not isinstance(node, Contract) or _scaled_sum(node) is None:
            return None
        (inner,) = [f for f in node.factors if not isinstance(f, Constant)]
        if known(stripped(inner)):
            return None
        scale = self.coefficient
        for factor in node.factors:
            scale *= factor.value if isinstance(factor, Constant) else 1.0
        summed = {a: ("sum", len(self.frame) + at, a) for at, a in enumerate(node.summed)}
        binding = {**self.binding, **summed}
        return [
            _Summand(
                scale,
                inner,
                {a: binding[a] for a in inner.axes},
                (*self.frame, *summed.values()),
            )
        ]


def _is_product(node: Contract) -> bool:
    """Is it so long that it is written once, if several read it?"""
    return any(isinstance(stripped(factor), Contract) for factor in node.factors)


def _scaled_sum(node: Contract) -> Node | None:
    """The sum that a product is a number times, if it is one."""
    inner = [factor for factor in node.factors if not isinstance(factor, Constant)]
    if len(inner) != 1 or not isinstance(found := stripped(inner[0]), Add):
        return None
    return found


def _kind(node: Node) -> TensorKind:
    match node:
        case Parameter():
            return "parameter"
        case Input():
            return "data"
        case Named(role=role):
            return _KINDS.get(role, "forward")
    return "forward"


def _placed(arg: Node, node: Node, reads: Sequence[tuple[Node, str]]) -> str:
    """Which axes of a function an argument has, where a square matrix leaves that open."""
    kinds = [axis.unprimed for axis in node.axes]
    several = sum(bool(each.axes) for each, _ in reads) > 1
    if not several or len(set(kinds)) == len(kinds) or not arg.axes:
        return ""
    return f"[{' '.join(axis.name for axis in arg.axes)}]"


def _order(term: TensorNetwork) -> tuple[Any, ...]:
    """Long products first, of equals what is added, so that a sum reads like a sentence."""
    return term.coefficient < 0, -len(term.tensors), [each.label for each in term.tensors]
