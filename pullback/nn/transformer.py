"""The encoder layer of a transformer (Vaswani et al. 2017): attention, then two layers a token."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pullback.errors import ConfigError, require, unknown, whole
from pullback.ir import Node, Rename
from pullback.ir.build import add
from pullback.nn.activation import GELU, ReLU
from pullback.nn.attention import MultiheadAttention, batch_comes_first
from pullback.nn.block import Block, Linear
from pullback.nn.dropout import Dropout
from pullback.nn.elementwise import Elementwise
from pullback.nn.norm import LayerNorm
from pullback.nn.scope import Scope

_ACTIVATIONS: dict[str, Elementwise] = {"relu": ReLU(), "gelu": GELU()}
_MASKS = {"src_key_padding_mask": "key_padding_mask", "src_mask": "attn_mask"}


@dataclass(frozen=True)
class TransformerEncoderLayer(Block):
    """x + attention(x), then x + linear2(f(linear1(x))), each sum under a LayerNorm.

    x is (batch, tokens, d_model), or a dict of ``src`` with ``src_key_padding_mask`` (batch, keys)
    and ``src_mask`` (batch, queries, keys), whole numbers that say with 1 what does not count; the
    result has the axes of x. With ``norm_first`` what goes into both parts is normalised in place
    of the sums. ``activation`` is "relu", "gelu" or an elementwise block. If ``causal`` a token
    sees none behind itself. The parameters are torch's; so is what is dropped in training.
    Raises ConfigError for options that do not fit, ShapeError for axes that do not.

    >>> import pullback as pb
    >>> layer = TransformerEncoderLayer(6, 2, dim_feedforward=8)
    >>> net = pb.Network(layer, pb.MSELoss(), x="tokens=3 features")
    >>> [spec.name for spec in net.specs if spec.name.startswith("linear")]
    ['linear1.weight', 'linear1.bias', 'linear2.weight', 'linear2.bias']
    """

    d_model: int
    nhead: int
    dim_feedforward: int = 2048
    dropout: float = 0.1
    activation: str | Elementwise = "relu"
    layer_norm_eps: float = 1e-5
    batch_first: bool = True
    norm_first: bool = False
    bias: bool = True
    causal: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        name = type(self).__name__
        whole(f"{name}: dim_feedforward", self.dim_feedforward)
        require(f"{name}: norm_first", self.norm_first, bool, "True or False")
        if isinstance(self.activation, str) and self.activation not in _ACTIVATIONS:
            raise unknown("activation", self.activation, _ACTIVATIONS)
        if not isinstance(self.activation, str):
            require(f"{name}: activation", self.activation, Elementwise, "a block such as ReLU()")
        batch_comes_first(name, self.batch_first)
        for part in (self._attention, self._norm, Dropout(self.dropout)):
            require(name, part, Block, "a block")  # each looks at its own options

    @property
    def n_in(self) -> int:
        return self.d_model

    @property
    def _attention(self) -> MultiheadAttention:
        return MultiheadAttention(
            self.d_model, self.nhead, self.dropout, self.bias, causal=self.causal
        )

    @property
    def _norm(self) -> LayerNorm:
        return LayerNorm(self.d_model, self.layer_norm_eps, bias=self.bias)

    def build(self, x: Node | Mapping[str, Node], at: Scope) -> Node:
        at = Scope(at)
        given = {"src": x} if isinstance(x, Node) else dict(x)
        for name in given:
            if name not in ("src", *_MASKS):
                raise unknown("input of an encoder layer", name, ("src", *_MASKS))
        if "src" not in given:
            raise ConfigError(f"{self!r} at {at.where} has no src; expected a dict with 'src'")
        src = given["src"]
        masks = {ours: given[name] for name, ours in _MASKS.items() if name in given}

        def attended(y: Node) -> Node:
            met = at.inside("self_attn").build(self._attention, {"query": y, **masks})
            return at.inside("dropout1").build(Dropout(self.dropout), met)

        def fed(y: Node) -> Node:
            chosen = self.activation
            for part, block in (
                ("linear1", Linear(self.d_model, self.dim_feedforward, self.bias)),
                ("activation", _ACTIVATIONS[chosen] if isinstance(chosen, str) else chosen),
                ("dropout", Dropout(self.dropout)),
                ("linear2", Linear(self.dim_feedforward, self.d_model, self.bias)),
                ("dropout2", Dropout(self.dropout)),
            ):
                y = at.inside(part).build(block, y)
            return y

        # a state dict has the parameters of the norms last
        attended(src), fed(src)
        for norm, part, inner in (("norm1", "attended", attended), ("norm2", "fed", fed)):
            src = self._with_norm(src, norm, part, inner, at)
        return src

    def _with_norm(
        self, x: Node, norm: str, part: str, inner: Callable[[Node], Node], at: Scope
    ) -> Node:
        """x + inner(norm(x)), or norm(x + inner(x))."""
        place = at.inside(norm)
        read = place.build(self._norm, x) if self.norm_first else x
        change = inner(read)
        total = at.a(add(x, Rename(change, ((change.axes[-1], x.axes[-1]),))), part)
        return total if self.norm_first else place.build(self._norm, total)
