"""Convolutions as they are printed without an index, computed: ⋆, flip, spread, U and Uᵀ."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from entries import Matrices

from pullback.calculus import gradients
from pullback.derive.formula.text import Text
from pullback.derive.formula.tree import AppliedFormula, Call, Correlation, Symbol, Transpose
from pullback.derive.steps.convolution import ConvolutionForm, ConvolutionSteps
from pullback.ir.evaluate import evaluate_all


class Convolved(Matrices):
    """Maps (channels, …) of some samples as matrices: a row a channel, a column a place."""

    def __init__(self, maps: dict[str, list[Any]], more: dict[str, Any], conv: Any, rows: bool):
        self.maps, self.conv, self.rows, self.more = maps, conv, rows, more
        matrices = {name: self.flat(of) for name, of in maps.items()} | {
            name: array.reshape(len(array), -1) for name, array in more.items()
        }
        places = int(np.prod([axis.size for axis in conv.z.axes[2:]]))
        super().__init__(matrices, places * len(next(iter(maps.values()))))

    def flat(self, maps: Sequence[Any]) -> Any:
        found = np.hstack([each.reshape(len(each), -1) for each in maps])
        return found.T if self.rows else found

    def value(self, formula):
        match formula:
            case AppliedFormula(Symbol("U"), (symbol,)):
                return self.flat([self.unfolded(each) for each in self.maps[Text()(symbol)]])
            case AppliedFormula(Transpose(Symbol("U")), (arg,)):
                columns = self.value(arg).T if self.rows else self.value(arg)
                parts = np.hsplit(columns, len(next(iter(self.maps.values()))))
                return self.flat([self.folded(part) for part in parts])
            case Correlation(left, right):
                return self.correlated(left, right)
        return super().value(formula)

    def numbers(self, name: str) -> list[int]:
        return [getattr(slide, name) for slide in self.conv.slides]

    def windows(self, x: Any) -> Any:
        """What each place reads of a map: (channels, taps …, places …)."""
        taps, outs = ([getattr(s, of).size for s in self.conv.slides] for of in ("tap", "at"))
        return np.array([read(c, taps, outs, *map(self.numbers, _STEPS)) for c in x])

    def unfolded(self, x: Any) -> Any:
        count = int(np.prod([slide.at.size for slide in self.conv.slides]))
        return self.windows(x).reshape(-1, count)

    def folded(self, columns: Any) -> Any:
        """The transpose of U by its definition: what U does to each unit map."""
        channels = len(columns) // int(np.prod([slide.tap.size for slide in self.conv.slides]))
        shape = (channels, *(slide.place.size for slide in self.conv.slides))
        units = np.eye(int(np.prod(shape))).reshape(-1, *shape)
        return np.array([np.sum(self.unfolded(unit) * columns) for unit in units]).reshape(shape)

    def correlated(self, left, right):
        ones = [1] * len(self.conv.slides)
        if isinstance(left, Symbol) and Text()(left) in self.more:
            weight, maps = self.more[Text()(left)], self.maps[Text()(right)]
            shape = [slide.at.size for slide in self.conv.slides]
            steps = self.numbers("stride"), ones, self.numbers("padding")
        elif isinstance(left, Call) and left.function == "flip":
            weight = self.more[Text()(left.args[0])].swapaxes(0, 1)
            weight = np.flip(weight, tuple(range(2, weight.ndim)))
            maps, steps = self.errors(right), (ones, ones, self.numbers("around"))
            shape = [slide.place.size for slide in self.conv.slides]
        else:  # δ is the kernel, and each pair of channels a correlation of its own
            pairs = zip(self.errors(left), self.maps[Text()(right)], strict=True)
            shape = [slide.tap.size for slide in self.conv.slides]
            steps = ones, ones, self.numbers("padding")
            found = [
                [[np.sum(read(c, e.shape, shape, *steps) * _wide(e, shape), _first(e)) for c in x]
                 for e in error]
                for error, x in pairs
            ]  # fmt: skip
            return np.sum(found, 0).reshape(len(found[0]), -1)
        found = []
        for x in maps:
            seen = np.array([read(c, weight.shape[2:], shape, *steps) for c in x])
            found.append(np.tensordot(weight, seen, weight.ndim - 1))
        return self.flat(found)

    def errors(self, formula: Any) -> list[Any]:
        """δ of each sample, with zeros between neighbours where it is spread."""
        if isinstance(formula, Symbol):
            return self.maps[Text()(formula)]
        found = []
        for error in self.maps[Text()(formula.args[0])]:
            strides = self.numbers("stride")
            sides = [s * (n - 1) + 1 for s, n in zip(strides, error.shape[1:], strict=True)]
            wide = np.zeros((len(error), *sides))
            wide[(slice(None), *(slice(None, None, s) for s in strides))] = error
            found.append(wide)
        return found


_STEPS = ("stride", "dilation", "padding")


def _wide(error: Any, shape: Sequence[int]) -> Any:
    return error.reshape(*error.shape, *(1 for _ in shape))


def _first(error: Any) -> tuple[int, ...]:
    return tuple(range(error.ndim))


def read(x: Any, taps: Any, outs: Any, strides: Any, dilations: Any, padding: Any) -> Any:
    """x[stride · o + dilation · t − padding] as (taps …, outs …), where x is 0 outside."""
    found = np.zeros((*taps, *outs))
    for tap, out in product(product(*map(range, taps)), product(*map(range, outs))):
        steps = zip(strides, dilations, padding, out, tap, strict=True)
        place = tuple(s * o + d * t - p for s, d, p, o, t in steps)
        if all(0 <= i < n for i, n in zip(place, x.shape, strict=True)):
            found[(*tap, *out)] = x[place]
    return found


def check_convolutions(net: Any, program: Any, params: Any, data: Any) -> list[str]:
    """Each line of a program's convolutions is computed as it is printed; their texts."""
    steps = ConvolutionSteps(program)
    convolutions = [c for e in program.equations if (c := ConvolutionForm.of(e.node)) is not None]
    read_by = {conv.z.name: conv.window.arg for conv in convolutions}
    nodes = [each.node for each in program.equations]
    inner = [x for x in read_by.values() if x.name in program.by_name]
    slopes = dict(zip(inner, gradients(program.loss, inner), strict=True))
    values = evaluate_all((*net.inputs, *nodes, *slopes.values()), {**params, **data})
    values |= {leaf: {**params, **data}[leaf.name] for leaf in program.leaves}
    written = []
    for conv in convolutions:
        z, x = conv.z, conv.window.arg
        named = {Text()(program.notation.symbols[node]): node for node in (z, x)}
        error = program.by_name[str(z.label.delta)]
        named[Text()(program.notation.symbols[error])] = error
        maps = {name: list(values[node]) for name, node in named.items()}
        held = [p for p in (conv.weight, conv.window.bias) if p is not None]
        more = {Text()(program.notation.symbols[p]): values[p] for p in held}
        computed = Convolved(maps, more, conv, program.convention == "rows")
        expected = {Text()(program.notation.symbols[z]): computed.flat(list(values[z]))}
        if x in slopes:
            behind = computed.flat(list(values[slopes[x]]))
            expected[Text()(steps.behind(conv))] = behind
        for p in held:
            slope = values[program.by_name[f"gradient.{p.name}"]]
            expected[Text()(steps.slope(p))] = slope.reshape(len(slope), -1)
        for line in steps.lines_of(conv):
            found = computed.value(line.right)
            wanted = expected[Text()(line.left)]
            np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12, err_msg=line.text())
            written.append(line.text())
    return written
