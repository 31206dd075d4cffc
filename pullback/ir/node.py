"""What every node has: arguments, axes, legality; nodes are frozen and interned.

Two equal expressions are one object, so sharing is by construction and equality is ``is``.
Everything that pullback does reads the few kinds in ``kinds``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Hashable, Iterable, Iterator
from typing import Any, ClassVar, TypeVar
from weakref import WeakValueDictionary

from pullback.errors import AxisError
from pullback.ir.axis import Axes, show

_N = TypeVar("_N")


class _Interned(type):
    """Building a node that exists already gives the one that exists."""

    _known: ClassVar[WeakValueDictionary[tuple[Any, ...], Any]] = WeakValueDictionary()

    def __call__(cls: type[_N], *args: Any, **kwargs: Any) -> _N:
        node: Any = super().__call__(*args, **kwargs)  # type: ignore[misc]
        key = (cls, *(getattr(node, name) for name in node.field_names))
        known: _N | None = _Interned._known.get(key)
        if known is None:
            node.settle()
            _Interned._known[key] = known = node
        return known


class Node(metaclass=_Interned):
    """A tensor with named axes, given by how it is computed."""

    __slots__ = ("__weakref__", "axes_", "digest", "outlined")
    axes_: Axes
    outlined: bool  # is it of an outline, in which scalar functions are left out?
    digest: str  # of the structure: the same in every run, so it can order operands

    @property
    def field_names(self) -> tuple[str, ...]:
        names: tuple[str, ...] = self.__match_args__  # type: ignore[attr-defined]
        return names

    @property
    def args(self) -> tuple[Node, ...]:
        """The nodes that this one is computed from."""
        return ()

    @property
    def moved_by(self) -> tuple[Node, ...]:
        """The arguments whose small changes move this one; a place or a mask moves nothing."""
        return self.args

    @property
    def axes(self) -> Axes:
        return self.axes_

    @property
    def family(self) -> Hashable:
        """What nodes that are computed together have in common; None where one is alone."""
        return None

    def result_axes(self) -> Axes:
        """The axes of the result, from the fields."""
        raise TypeError(f"{type(self).__name__} does not say its axes")

    def rebuild(self, args: tuple[Node, ...]) -> Node:
        """The same operation on other arguments."""
        return self

    def lift(self, args: tuple[Node, ...], more: Axes, last: bool) -> Node:
        """The same operation on arguments that may carry more axes, which the result keeps."""
        return self.rebuild(args)

    def fault(self) -> str | None:
        """What is wrong with the node, or None if it is legal."""
        return None

    def described(self) -> tuple[Any, ...]:
        """What the digest is of."""
        return tuple(getattr(self, name) for name in self.field_names)

    def settle(self) -> None:
        """Check legality and fix what follows from the fields, once, when first built.

        Raises AxisError, naming the node's kind and its axes, unless the node is legal.
        """
        kind = type(self).__name__
        if fault := self.fault():
            operands = ", ".join(show(arg.axes) for arg in self.args)
            raise AxisError(f"{kind}({operands}): {fault}" if operands else f"{kind}: {fault}")
        parts = [kind]
        for value in self.described():
            if isinstance(value, Node):
                parts.append(value.digest)
            elif isinstance(value, tuple) and value and isinstance(value[0], Node):
                parts.extend(each.digest for each in value)
            else:
                parts.append(repr(value))
        text = "\0".join(parts)
        object.__setattr__(self, "axes_", self.result_axes())
        outlined = getattr(self, "outline", False) or any(arg.outlined for arg in self.args)
        object.__setattr__(self, "outlined", outlined)
        content = text.encode(errors="surrogatepass")  # a name may hold anything
        object.__setattr__(self, "digest", hashlib.blake2b(content, digest_size=12).hexdigest())

    def __repr__(self) -> str:
        """Kind, name and axes: a shared graph written out in full would grow without end."""
        name = getattr(self, "name", "")
        return f"{type(self).__name__}({f'{name!r}, ' if name else ''}{show(self.axes)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(getattr(self, name) for name in self.field_names)


def walk(roots: Iterable[Node], stop: Container[Node] = ()) -> Iterator[Node]:
    """Every node below the roots once, arguments first (iterative: networks are deep).

    It goes no further than the nodes of ``stop``.
    """
    seen: set[Node] = set()
    for root in roots:
        stack: list[tuple[Node, bool]] = [(root, False)]
        while stack:
            node, ready = stack.pop()
            if node in seen:
                continue
            if ready:
                seen.add(node)
                yield node
            else:
                stack.append((node, True))
                below = () if node in stop else reversed(node.args)
                stack.extend((arg, False) for arg in below if arg not in seen)


def uses(roots: Iterable[Node]) -> dict[Node, int]:
    """How many arguments each node below the roots is; a root counts as one use more."""
    kept = list(roots)
    count = dict.fromkeys(walk(kept), 0)
    for node in count:
        for arg in node.args:
            count[arg] += 1
    for root in kept:
        count[root] += 1
    return count


def depending_on(roots: Iterable[Node], leaves: Iterable[Node]) -> set[Node]:
    """Some leaves, and the nodes below the roots whose values depend on one."""
    found = set(leaves)
    for node in walk(roots):
        if any(arg in found for arg in node.args):
            found.add(node)
    return found
