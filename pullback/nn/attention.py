"""Attention: each query takes a mean of values, weighted by how well it meets their keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field
from math import sqrt

from pullback.errors import ConfigError, ShapeError, finite, require, shown, unknown, whole
from pullback.ir import Axis, Constant, Contract, Index, LogSumExp, Node, Pattern, Rename
from pullback.ir.axis import show
from pullback.ir.build import add, multiply, pointwise, shares
from pullback.ir.layout import earlier
from pullback.ir.lookup import is_whole
from pullback.nn.block import Block
from pullback.nn.dropout import Dropout
from pullback.nn.scope import Scope

_PARTS = ("query", "key", "value")
_MASKS = ("key_padding_mask", "attn_mask")


def scaled_dot_product_attention(
    q: Node,
    k: Node,
    v: Node,
    where: Node | None = None,
    causal: bool = False,
    scale: float | None = None,
    *,
    dropout: float = 0.0,
    at: Scope | None = None,
) -> Node:
    """softmax(scale · q kᵀ) v for q (…, queries, d), k (…, keys, d) and v (…, keys, features).

    A key counts where ``where``, with the axes of the scores or some of them, is not 0, and if
    ``causal`` where it does not stand behind the query; with none left the result is 0. ``scale``
    is 1/√d. ``at`` is where the scores, their log Σ exp and the weights become equations, and where
    weights are dropped in training with the probability ``dropout``.
    Raises ShapeError for axes that do not meet, and for a causal mask of an unknown length.

    >>> from pullback.ir import Input
    >>> x = Input("x", (Axis("batch"), Axis("tokens", 4), Axis("d", 2)))
    >>> scaled_dot_product_attention(x, x, x, causal=True).axes
    (batch, tokens=4, d=2)
    """
    if min(len(each.axes) for each in (q, k, v)) < 2 or v.axes[-2] != k.axes[-2]:
        raise ShapeError(
            f"q {show(q.axes)}, k {show(k.axes)} and v {show(v.axes)} do not meet: expected "
            "(…, queries, d), (…, keys, d) and (…, keys, features)"
        )
    (queries, inner), (keys, of_key) = q.axes[-2:], k.axes[-2:]
    if inner.size is None or inner.size != of_key.size:
        raise ShapeError(f"q has the axis {inner!r} and k {of_key!r}; expected one known size")
    if keys == queries:
        keys = Axis(f"{queries.name}.keys", queries.size)
        k, v = (Rename(each, ((queries, keys),)) for each in (k, v))
    k = k if of_key == inner else Rename(k, ((of_key, inner),))
    if causal:
        where = multiply(*(() if where is None else (where,)), _seen(keys, queries))
    batch = tuple(axis for axis in q.axes if axis not in (queries, inner))
    share = Constant(1 / sqrt(inner.size) if scale is None else finite("scale", scale))
    scores: Node = Contract((q, k, share), (*batch, queries, keys))
    scores = scores if at is None else at.z(scores, "scores")
    total: Node = LogSumExp(scores, keys, where)
    total = total if at is None else at.stat(total, "total")
    weights: Node = shares(scores, total, where)
    weights = weights if at is None else at.a(weights, "weights")
    if dropout:
        weights = Scope(at or "").inside("dropout").build(Dropout(dropout), weights)
    return Contract((weights, v), (*batch, queries, v.axes[-1]))


def _seen(keys: Axis, queries: Axis) -> Pattern:
    """The mask of the keys that do not stand behind the query."""
    if keys.size is None or queries.size is None:
        raise ShapeError(
            f"a causal mask needs to know how many {queries.name} there are; say it, as in "
            f"x='{queries.name}=32 features=8'"
        )
    return earlier(keys, queries)


@dataclass(frozen=True)
class MultiheadAttention(Block):
    """Attention with ``num_heads`` heads, each over a part of embed_dim features of its own.

    x is (batch, tokens, embed_dim), which attends to itself, or a dict of ``query``, ``key`` and
    ``value``; the result is (batch, queries, embed_dim). The dict may hold ``key_padding_mask``
    (batch, keys) and ``attn_mask`` (batch, queries, keys), whole numbers that say with 1 what does
    not count; a query with nothing left gets 0 in place of values. If ``causal``, it sees no key
    behind itself. The parameters are torch's.
    Raises ConfigError for options that do not fit, ShapeError for axes that do not.

    >>> import pullback as pb
    >>> net = pb.Network(MultiheadAttention(6, 2, bias=False), pb.MSELoss(), x="tokens features")
    >>> [(spec.name, spec.shape) for spec in net.specs]
    [('in_proj_weight', (18, 6)), ('out_proj.weight', (6, 6))]
    """

    embed_dim: int
    num_heads: int
    dropout: float = 0.0
    bias: bool = True
    batch_first: bool = True
    kdim: int | None = None
    vdim: int | None = None
    causal: bool = field(default=False, kw_only=True)
    add_bias_kv: InitVar[object] = field(default=False, kw_only=True)
    add_zero_attn: InitVar[object] = field(default=False, kw_only=True)

    def __post_init__(self, add_bias_kv: object, add_zero_attn: object) -> None:
        name = type(self).__name__
        for option, given in (("add_bias_kv", add_bias_kv), ("add_zero_attn", add_zero_attn)):
            if given is not False:
                raise ConfigError(
                    f"{name}: {option} is {shown(given)}; expected False: put one more token into "
                    "the keys and values that come in"
                )
        for part in ("embed_dim", "num_heads"):
            whole(f"{name}: {part}", getattr(self, part))
        for part in ("kdim", "vdim"):
            if getattr(self, part) is not None:
                whole(f"{name}: {part}", getattr(self, part))
        for part in ("bias", "causal"):
            require(f"{name}: {part}", getattr(self, part), bool, "True or False")
        if self.embed_dim % self.num_heads:
            raise ConfigError(
                f"{name}: embed_dim is {self.embed_dim}; expected a multiple of num_heads, "
                f"which is {self.num_heads}"
            )
        batch_comes_first(name, self.batch_first)
        finite(f"{name}: dropout", self.dropout)
        if not 0 <= self.dropout < 1:
            raise ConfigError(
                f"{name}: dropout is {self.dropout}; expected a probability from 0, below 1"
            )

    @property
    def n_in(self) -> int:
        return self.embed_dim

    def build(self, x: Node | Mapping[str, Node], at: Scope) -> Node:
        at, given = Scope(at), _inputs_of(self, x, Scope(at))
        size, count = self.embed_dim, self.num_heads
        heads, d = at.axis("heads", count), at.axis("d", size // count)
        place = (d.size or 0) * Index.on(heads) + Index.on(d)
        q, k, v = self._projected(given, heads, d, place, at)
        queries, keys = q.axes[-2], k.axes[-2]
        if keys == queries:
            keys = Axis(f"{queries.name}.keys", queries.size)
        k, v = (_under(each, {each.axes[-2]: keys}) for each in (k, v))
        where = self._where(given, queries, keys, at)
        met = scaled_dot_product_attention(q, k, v, where, self.causal, dropout=self.dropout, at=at)
        out = at.inside("out_proj")
        units, inner = out.axis("units", size), out.axis("inner", size)
        weight = out.parameter("weight", (units, inner))
        rows = Pattern((inner, heads, d), (Index.on(inner) - place,))
        batch, _, _, _ = met.axes
        z: Node = Contract((at.a(met, "heads"), weight, rows), (batch, queries, units))
        return out.z(add(z, out.parameter("bias", (units,), "bias")) if self.bias else z)

    def _projected(
        self, given: Mapping[str, Node], heads: Axis, d: Axis, place: Index, at: Scope
    ) -> list[Node]:
        """q, k and v (batch, heads, tokens, d): each has rows of its own of the weights."""
        size = self.embed_dim
        sizes = (size, self.kdim or size, self.vdim or size)
        inner = [at.sized(given[p].axes[-1], n, self) for p, n in zip(_PARTS, sizes, strict=True)]
        stacked = at.axis("stacked", 3 * size)
        rows = [
            Pattern((stacked, heads, d), (Index.on(stacked) - place - turn * size,))
            for turn in range(3)
        ]
        if sizes == (size,) * 3:
            weight = at.parameter("in_proj_weight", (stacked, inner[0]))
            taken = [
                (_under(weight, {inner[0]: each}), r) for each, r in zip(inner, rows, strict=True)
            ]
        else:
            taken = []
            for part, each in zip(_PARTS, inner, strict=True):
                units = at.axis(f"units.{part}", size)
                own = at.parameter(f"{part[0]}_proj_weight", (units, each))
                taken.append((own, Pattern((units, heads, d), (Index.on(units) - place,))))
        bias = at.parameter("in_proj_bias", (stacked,), "bias") if self.bias else None
        found: list[Node] = []
        for part, row, factors in zip(_PARTS, rows, taken, strict=True):
            batch, tokens, _ = given[part].axes
            z: Node = Contract((given[part], *factors), (batch, heads, tokens, d))
            if bias is not None:
                z = add(z, Contract((bias, row), (heads, d)))
            found.append(at.z(z, part))
        return found

    def _where(
        self, given: Mapping[str, Node], queries: Axis, keys: Axis, at: Scope
    ) -> Node | None:
        """1 where a key counts, by the masks that say with 1 where it does not."""
        masks: list[Node] = []
        for name, axes in zip(_MASKS, ((keys,), (queries, keys)), strict=True):
            if (mask := given.get(name)) is None:
                continue
            if not is_whole(mask) or len(mask.axes) != 1 + len(axes):
                wanted = ", ".join(["batch", *(["queries"] if axes[1:] else []), "keys"])
                raise ShapeError(
                    f"{name} of {self!r} at {at.where} has the axes {show(mask.axes)}; expected "
                    f"({wanted}), whole numbers that are 1 where a key does not count, as in "
                    "x={…, 'key_padding_mask': 'keys:index'}"
                )
            names = dict(zip(mask.axes[1:], axes, strict=True))
            masks.append(pointwise(lambda x: 1 - x, _under(mask, names)))
        return multiply(*masks) if masks else None


def batch_comes_first(name: str, batch_first: object) -> None:
    """Raises ConfigError unless it does: samples are the first axis of everything."""
    if batch_first is not True:
        raise ConfigError(
            f"{name}: batch_first is {batch_first!r}, but here the batch is always the first axis; "
            "leave it True, and give (batch, tokens, features)"
        )


def _inputs_of(block: Block, x: Node | Mapping[str, Node], at: Scope) -> dict[str, Node]:
    """The inputs by name; a key that is not given is the query, and a value the key."""
    given = {"query": x} if isinstance(x, Node) else dict(x)
    for name in given:
        if name not in (*_PARTS, *_MASKS):
            raise unknown("input of attention", name, (*_PARTS, *_MASKS))
    if "query" not in given:
        raise ConfigError(f"{block!r} at {at.where} has no query; expected a dict with 'query'")
    given.setdefault("key", given["query"])
    given.setdefault("value", given["key"])
    for part in _PARTS:
        if len(given[part].axes) != 3:
            raise ShapeError(
                f"{block!r} at {at.where} takes (batch, tokens, features), but its {part} has the "
                f"axes {show(given[part].axes)}; declare them, as in x='tokens features=8'"
            )
    return given


def _under(node: Node, names: Mapping[Axis, Axis]) -> Node:
    """The node with other names for some axes."""
    other = tuple((old, new) for old, new in names.items() if old != new)
    return Rename(node, other) if other else node
