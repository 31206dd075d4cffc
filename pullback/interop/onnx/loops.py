"""ONNX's RNN, GRU and LSTM as rows."""

from __future__ import annotations

from typing import Any

from pullback.errors import ConversionError
from pullback.interop.onnx.collector import Collector, Fields
from pullback.interop.rows import Ref

_FIELDS = ("direction", "hidden_size", "layout", "activations")
_FUNCTIONS = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}


def recurrence(r: Collector, args: list[Any], fields: Fields) -> tuple[Ref, ...]:
    """Every h, and the last states."""
    every = [*args, *[None] * (8 - len(args))]
    x, w, weight, bias, lengths, *starts, peepholes = every
    if lengths is not None or peepholes is not None:
        raise ConversionError("it has sequences of several lengths, or peepholes")
    if r.kind == "GRU" and not fields.get("linear_before_reset"):
        raise ConversionError(
            "it resets h before the product (linear_before_reset=0); expected 1, as torch has it"
        )
    direction = fields.get("direction", b"forward").decode()
    if direction not in ("forward", "reverse", "bidirectional"):
        raise ConversionError(f"its direction is {direction!r}")
    operator = f"{_operator(r.kind, fields)}_by_direction"
    given = starts if r.kind == "LSTM" else starts[:1]
    if any(each is None for each in given):
        if any(each is not None for each in given):
            raise ConversionError("it is given one of its states; expected h and c, or neither")
        hx: Any = None
    else:
        hx = tuple(given)
    found = r.row(operator, x, w, weight, bias, hx, direction, bool(fields.get("layout", 0)))
    return tuple(r.row("getitem", found, at) for at in range(1 + len(given)))


def _operator(kind: str, fields: Fields) -> str:
    """The row of a kind; ONNX's own evaluator, which it is compared with, runs these functions."""
    told = [each.decode() for each in fields.get("activations", ())]
    known = _FUNCTIONS[kind]
    if told not in ([], known, known * 2):
        raise ConversionError(
            f"its activations are {', '.join(told)}; expected {', '.join(known)}, which is all "
            "that ONNX's own evaluator runs, to compare with"
        )
    return "rnn_tanh" if kind == "RNN" else kind.lower()


LOOPS = {
    "RNN": (recurrence, _FIELDS),
    "GRU": (recurrence, (*_FIELDS, "linear_before_reset")),
    "LSTM": (recurrence, _FIELDS),
}
