"""The network beside the module that it was read from: values and gradients at many points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from pullback import calculus
from pullback.errors import ConversionError
from pullback.interop.rows import Array
from pullback.interop.torch.call import ForwardCall
from pullback.interop.torch.copies import copied, first_line
from pullback.interop.torch.layers import has_hooks
from pullback.interop.torch.outputs import chosen
from pullback.interop.torch.points import Arrays, ComparedPoint, points
from pullback.interop.torch.running import in_double, known
from pullback.ir import Input, LogSumExp, Parameter, symbol, walk
from pullback.ir.build import scalar_map
from pullback.net.modes import drawn
from pullback.net.network import Network
from pullback.net.program import Compiled, compile_program
from pullback.nn import Bernoulli

OUTPUT, INPUT = "output", "input"
UNREGISTERED = (
    "; what a plain list holds is none of the module's own: hold layers in an nn.ModuleList, "
    "parameters in an nn.ParameterList and other tensors as buffers"
)
HINT = " (dropout in evaluation too: F.dropout needs training=self.training)"
# torch's softplus is x from 20 on, 2e-9 off; some of its backward passes have float32 constants
RELATIVE, ABSOLUTE = 1e-6, 1e-8
RUNS = 2  # of the module at each point


def compare(
    torch: Any,
    module: Any,
    call: ForwardCall,
    net: Network,
    params: Arrays,
    examples: tuple[Array, ...] | None,
    output: Any,
    end: str | None,
) -> None:
    """Raise ConversionError unless network and module agree in value and in every gradient.

    Both run in float64, the module as a copy in its own mode, with the same noise, but that nothing
    is dropped at random: on the example, on inputs of several sizes, in several batches, at 0, and
    with other parameters. ``end`` is where a LogSoftmax that
    the network does without stands.
    """
    twin = _Twin(torch, module, call, net, output)
    ours = _Ours(net, end is not None)
    before = twin.state()
    held = list(points(net, params, examples))
    if any(x.whole for x in net.xs.values()) and not all(map(twin.runs, held)):
        held = list(points(net, params, examples, any_index=False))
    for point in held:
        found = ours(point)
        cotangent: Array = np.asarray(np.random.default_rng(1).normal(size=found.shape))
        theirs = twin(point, cotangent)
        mine = {OUTPUT: found, **ours.gradients(point, cotangent)}
        for name, array in theirs.items():
            if not _agree(mine[name], array):
                raise ConversionError(
                    f"the network and the module differ {point.where}: "
                    f"{_difference(name, mine[name], array)}"
                    f"{twin.reason(point, name, mine[name], array)}"
                )
        twin.refuse_state(before, point, ours.states(point))
    twin.refuse_modes(held[0])


class _Ours:
    """The network's output, and its pullback of any cotangent, by name."""

    def __init__(self, net: Network, log_softmax: bool) -> None:
        self.net, self.output = net, net.output
        if log_softmax:
            shift = LogSumExp(net.output, net.output.axes[-1])
            self.output = scalar_map(symbol(0) - symbol(1), net.output, shift)
        self.xs = net.xs
        self.forward = compile_program({OUTPUT: self.output}, "The output.", leaves=self.leaves)
        self.updates = compile_program(net.updates, "The states.", leaves=self.leaves)
        self.shapes = {spec.name: spec.shape for spec in net.specs if spec.trained}
        read = {node.name for node in walk((self.output,)) if isinstance(node, Parameter)}
        leaves = {n: leaf for n, leaf in net.trained_leaves.items() if n in read}
        real = {input_name(at): x for at, x in enumerate(self.xs.values()) if not x.whole}
        names = [*leaves, *real]
        self.keys = {f"gradient{at}": name for at, name in enumerate(names)}
        seed = Input("cotangent", self.output.axes)
        found = calculus.gradients(self.output, (*leaves.values(), *real.values()), seed)
        self.backward = compile_program(
            dict(zip(self.keys, found, strict=True)), "The pullback.", leaves=(*self.leaves, seed)
        )

    @property
    def leaves(self) -> tuple[Input, ...]:
        return (*self.xs.values(), *(each.leaf for each in self.net.noise.values()))

    def __call__(self, point: ComparedPoint) -> Array:
        output: Array = self._run(self.forward, point, {})[OUTPUT]
        return output

    def gradients(self, point: ComparedPoint, cotangent: Array) -> Arrays:
        found = self._run(self.backward, point, {"cotangent": cotangent})
        # a parameter that cancelled has no leaf
        grads = {name: np.zeros(shape) for name, shape in self.shapes.items()}
        grads |= {name: found[key] for key, name in self.keys.items()}
        for at, x in enumerate(point.xs):
            if input_name(at) in grads:
                grads[input_name(at)] = grads[input_name(at)].reshape(x.shape)
        return grads

    def states(self, point: ComparedPoint) -> Arrays:
        """The states as running the module at a point leaves them."""
        if not self.net.updates:
            return {}
        params = dict(point.params)
        for _ in range(RUNS):
            params |= self._run(self.updates, replace(point, params=params), {})
        return {name: np.asarray(params[name]) for name in self.net.updates}

    def _run(self, program: Compiled, point: ComparedPoint, more: Arrays) -> dict[str, Any]:
        xs = {
            name: x if x.ndim == len(leaf.axes) else x.reshape(len(x), -1)
            for (name, leaf), x in zip(self.xs.items(), point.xs, strict=True)
        }
        with np.errstate(all="ignore"):
            return program(point.params, {**xs, **more, **self._quiet(xs)})

    def _quiet(self, xs: Arrays) -> Arrays:
        """The noise with which dropout leaves everything as it is, and what the module draws."""
        found = dict(drawn(self.net, xs)) if self.net.noise else {}
        for name, array in found.items():
            law = self.net.noise[name].law
            if isinstance(law, Bernoulli):
                found[name] = np.full_like(array, law.mean or 1.0)
            else:
                found[name] = known(law, array.shape)
        return found


def input_name(at: int) -> str:
    """What the gradient of an input is called, by its place."""
    return f"{INPUT} {at}" if at else INPUT


class _Twin:
    """A copy of the module in float64, which runs at points."""

    def __init__(
        self, torch: Any, module: Any, call: ForwardCall, net: Network, output: Any
    ) -> None:
        self.torch, self.call = torch, call
        self.names, self.output = list(net.trained), output
        try:
            self.module = copied(torch, module).double()
        except (TypeError, RuntimeError) as fault:
            raise ConversionError(
                f"the module cannot be run in float64: {first_line(fault)}; move it to a device "
                "that has it, as module.cpu() does"
            ) from fault
        if net.noise:
            _silence_noise(torch, self.module)
        self.hooked = has_hooks(self.module)
        self.drops = bool(net.noise)
        self.unreached: set[str] = set()
        self.own: list[str] = []
        self.held = dict(self.module.named_parameters(remove_duplicate=False))
        self.device = next((p.device for p in self.held.values()), torch.device("cpu"))
        self.written = [spec.name for spec in net.specs if spec.name in self.held]

    def __call__(self, point: ComparedPoint, cotangent: Array) -> Arrays:
        """The module's output and its gradients; a parameter that none reaches has NaN."""
        torch = self.torch
        with torch.no_grad():
            for name in self.written:
                self.held[name].copy_(torch.from_numpy(point.params[name]))
        leaf = [self._tensor(x).requires_grad_(x.dtype.kind == "f") for x in point.xs]
        output = self._output(leaf, point)
        self._check_output(output, point, cotangent.shape)
        again = self._output(leaf, point)
        if not torch.equal(output.nan_to_num(), again.nan_to_num()):
            raise ConversionError(
                f"the module gives two answers for one input {point.where}: it draws at random"
                f"{HINT if self.drops else ''}, or depends on its earlier calls"
            )
        self._refuse_strangers(output, again, leaf)
        return {OUTPUT: _numpy(output), **self._gradients(leaf, output, cotangent, point)}

    def runs(self, point: ComparedPoint) -> bool:
        """Can the module run these samples? It may look up fewer numbers than its table has."""
        try:
            with self.torch.no_grad():
                self._output([self._tensor(x) for x in point.xs], point)
        except ConversionError:
            return False
        return True

    def _refuse_strangers(self, output: Any, again: Any, leaf: list[Any]) -> None:
        """Raise ConversionError for a parameter behind outputs that is none of the module's.

        What a call makes itself, as by ``x.detach().requires_grad_()``, is another one each time.
        """
        own = {each.data_ptr() for each in (*self.module.parameters(), *leaf)}
        kept = _leaves(again).keys() - own
        for place, found in _leaves(output).items():
            if place in kept:
                raise ConversionError(
                    f"the output depends on a parameter of shape {tuple(found.shape)} that is none "
                    "of the module's own; hold it as one, in an nn.Module or an nn.ParameterList"
                )

    def _gradients(self, leaf: Any, output: Any, cotangent: Array, point: ComparedPoint) -> Arrays:
        inputs = {input_name(at): x for at, x in enumerate(leaf) if x.requires_grad}
        wrt = {**{name: self.held[name] for name in self.names}, **inputs}
        found: dict[str, Any] = {}
        if output.requires_grad:
            try:
                grads = self.torch.autograd.grad(
                    output, list(wrt.values()), self._tensor(cotangent), allow_unused=True
                )
            except Exception as fault:  # a backward pass of the module's own
                raise ConversionError(
                    f"the module's backward pass fails {point.where}: {first_line(fault)}"
                ) from fault
            found = {name: g for name, g in zip(wrt, grads, strict=True) if g is not None}
            self.own = sorted(_own_functions(self.torch, output))
        self.unreached = wrt.keys() - found.keys()
        return {
            name: _numpy(found[name]) if name in found else np.zeros(tuple(each.shape))
            for name, each in wrt.items()
        }

    def _output(self, x: Any, point: ComparedPoint) -> Any:
        try:
            # it may write over what goes in
            args, options = self.call.arguments([each.clone() for each in x])
            with in_double(self.torch):
                found = self.module(*args, **options)
        except Exception as fault:  # the module's own code, on data that do not fit it
            kind = "the example" if point.where == "on the example" else f"samples {point.where}"
            raise ConversionError(
                f"the module cannot run {kind}, in float64: {first_line(fault)}"
                f"{UNREGISTERED if 'dtype' in str(fault) else ''}"
            ) from fault
        return chosen(found, self.output)

    def _check_output(self, output: Any, point: ComparedPoint, expected: tuple[int, ...]) -> None:
        if not isinstance(output, self.torch.Tensor) or output.dtype != self.torch.float64:
            found = getattr(output, "dtype", type(output).__name__)
            raise ConversionError(
                f"the module in float64 gives {found} {point.where}; expected float64"
            )
        if tuple(output.shape) != expected:
            raise ConversionError(
                f"the network and the module differ {point.where}: the output has the shape "
                f"{expected} and {tuple(output.shape)}; the module has to keep the batch in front"
            )

    def reason(self, point: ComparedPoint, name: str, ours: Array, theirs: Array) -> str:
        """Why the two differ, where that can be told."""
        if name in self.unreached:
            which = "the input" if name.startswith(INPUT) else repr(name)
            return (
                f"; no gradient of the module reaches {which}, as under torch.no_grad() or after "
                "detach(): pullback trains every parameter and stops no gradient"
            )
        if self.hooked:
            return f"; {self.hooked} has a hook that may change what it is given"
        if name != OUTPUT and self.own:
            return f"; the backward pass of {', '.join(self.own)} is not the derivative of forward"
        if name == OUTPUT and self._mixes(point, theirs):
            return "; the output for a sample depends on the batch that it is in, or on its size"
        if (factor := _factor(ours, theirs)) is not None:
            return f"; the module's is {factor:.6g} times the network's"
        return "; what the module does is not what it was read as"

    def _mixes(self, point: ComparedPoint, together: Array) -> bool:
        """Does a sample alone have another output than in the batch?"""
        try:
            with self.torch.no_grad():
                each = [
                    self._output([self._tensor(x[at : at + 1]) for x in point.xs], point)
                    for at in range(len(point.xs[0]))
                ]
            return not _agree(self.torch.cat(each).cpu().numpy(), together)
        except Exception:  # a batch of one is what it cannot run
            return True

    def state(self) -> Mapping[str, Any]:
        """Buffers as they are before it runs."""
        return {name: buffer.clone() for name, buffer in self.module.named_buffers()}

    def refuse_state(self, before: Mapping[str, Any], point: ComparedPoint, states: Arrays) -> None:
        """Raise ConversionError if running has written to a buffer or a parameter.

        ``states`` are written to, and have to be this; they are then put back.
        """
        buffers = dict(self.module.named_buffers())
        for name, expected in states.items():
            if not _agree(expected, _numpy(buffers[name].double())):
                raise ConversionError(
                    f"the network and the module differ {point.where}: "
                    f"{_difference(name, expected, _numpy(buffers[name].double()))} after {RUNS} "
                    "steps"
                )
            buffers[name].copy_(before[name])
        written = [n for n in before if not self.torch.equal(before[n], buffers.get(n, before[n]))]
        written += [
            name
            for name in self.written
            if not np.array_equal(_numpy(self.held[name]), point.params[name])
        ]
        if written:
            raise ConversionError(
                f"the module's forward writes to {written[0]!r}; pullback's networks have no state"
            )

    def refuse_modes(self, point: ComparedPoint) -> None:
        """Raise ConversionError if it computes something else where no gradients are wanted."""
        x = [self._tensor(each) for each in point.xs]
        with self.torch.no_grad():
            without = self._output(x, point)
        if not self.torch.equal(self._output(x, point).nan_to_num(), without.nan_to_num()):
            raise ConversionError(
                f"the module gives two answers for one input {point.where}: another one where no "
                "gradients are wanted"
            )

    def _tensor(self, array: Array) -> Any:
        return self.torch.from_numpy(np.ascontiguousarray(array)).to(self.device)


def _silence_noise(torch: Any, module: Any) -> None:
    """Put all but the norms, which keep their mode, into evaluation, where nothing is dropped."""
    norm = torch.nn.modules.batchnorm._NormBase
    trained = [p for p in module.modules() if isinstance(p, norm) and p.training]
    module.eval()
    for each in trained:
        each.train()


def _own_functions(torch: Any, output: Any) -> set[str]:
    """The names of the ``autograd.Function`` classes in the graph behind an output."""
    kind = torch.autograd.function.BackwardCFunction
    nodes = (node for node in _graph(output) if isinstance(node, kind))
    return {type(node).__name__.removesuffix("Backward") for node in nodes}


def _leaves(output: Any) -> dict[int, Any]:
    """The leaves behind an output by where they lie in memory."""
    found = (getattr(node, "variable", None) for node in _graph(output))
    return {each.data_ptr(): each for each in found if each is not None}


def _graph(output: Any) -> set[Any]:
    """The nodes of torch's graph behind an output."""
    seen: set[Any] = set()
    waiting = [output.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            waiting += [each for each, _ in node.next_functions]
    return seen


def _agree(ours: Array, theirs: Array) -> bool:
    """Are they equal wherever the module's own value is finite?"""
    known = np.isfinite(theirs)
    size = np.abs(theirs[known]).max(initial=0.0)
    with np.errstate(invalid="ignore"):
        gap = np.abs(ours - theirs)[known]
    return bool((gap <= RELATIVE * size + ABSOLUTE).all())


def _difference(name: str, ours: Array, theirs: Array) -> str:
    of = "the input" if name.startswith(INPUT) else repr(name)
    what = "the output" if name == OUTPUT else f"the gradient of {of}"
    with np.errstate(invalid="ignore"):
        gap = np.where(np.isfinite(theirs), np.abs(ours - theirs), 0)
    gap = np.where(np.isnan(gap), np.inf, gap)
    at = np.unravel_index(np.argmax(gap), gap.shape)
    place = list(map(int, at))
    return f"{what} by up to {gap[at]:.3g}, at {place}: {ours[at]:.6g} and {theirs[at]:.6g}"


def _factor(ours: Array, theirs: Array) -> float | None:
    """The constant that one is of the other, if it is."""
    size = float((ours * ours).sum())
    if not np.isfinite(size) or size == 0:
        return None
    factor = float((ours * theirs).sum()) / size
    return factor if _agree(factor * ours, theirs) else None


def _numpy(tensor: Any) -> Array:
    array: Array = tensor.detach().cpu().numpy(force=True).copy()
    return array
