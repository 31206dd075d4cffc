"""``to_jax``: a network as pure functions of jax."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

from pullback.emit import lower
from pullback.emit.target import jax as emitter
from pullback.emit.target.language import Task
from pullback.errors import NotApplicableError, ShapeError, UnknownNameError, nearest, require
from pullback.interop.extras import library
from pullback.ir import Input, Node
from pullback.net.network import Network
from pullback.net.program import execute

Params = Mapping[str, Any]


@dataclass(frozen=True)
class JaxNetwork:
    """A network in jax: ``predict``, ``loss`` and ``value_and_grad`` are pure functions.

    ``params`` are arrays by name, ``x`` is (batch, features) or one sample (features,), or a tuple
    or a dict where the network has several inputs, ``y`` the targets as ``Network`` takes them.
    They run under jit, vmap, grad and on many devices; a mean is over the batch that a call sees.
    ``source`` is the program that runs.
    """

    net: Network
    source: str = field(repr=False)
    _functions: Mapping[str, Callable[..., Any]] = field(repr=False, compare=False)

    def predict(self, params: Params, x: Any) -> Any:
        """The model's output (batch, outputs), of one sample (outputs,)."""
        given, single = self._inputs(x)
        output = self._functions["predict"](self._arrays(params), *given)["output"]
        return output[0] if single else output

    def loss(self, params: Params, x: Any, y: Any) -> Any:
        """The loss, a scalar; jax can differentiate it as well."""
        return self._functions["loss"](self._arrays(params), *self._batch(x, y))["loss"]

    def value_and_grad(self, params: Params, x: Any, y: Any) -> tuple[Any, dict[str, Any]]:
        """The loss and its gradients by the backward pass that pullback derived."""
        value, grads = self._functions["value_and_grad"](self._arrays(params), *self._batch(x, y))
        return value, grads

    def updated(self, params: Params, x: Any) -> dict[str, Any]:
        """The parameters with the states, such as running means, as a step on x leaves them."""
        held = self._arrays(params)
        given, _ = self._inputs(x)
        return {**held, **(self._functions["updated"](held, *given) if self.net.updates else {})}

    def text(self) -> str:
        """The source of the program."""
        return self.source

    def __str__(self) -> str:
        return self.source

    def _repr_html_(self) -> str:
        return f"<pre>{escape(self.source)}</pre>"

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {"network": repr(self.net), "source": self.source}

    def _inputs(self, x: Any) -> tuple[list[Any], bool]:
        """The inputs in order, with a batch, and whether they are of one sample without."""
        numpy, leaves = library("jax", "jax").numpy, self.net.xs
        if not isinstance(x, (Mapping, tuple)):
            x = (x,)
        if len(x) != len(leaves):
            raise ShapeError(f"x holds {len(x)} arrays; expected one each for {', '.join(leaves)}")
        given = [x[name] for name in leaves] if isinstance(x, Mapping) else list(x)
        arrays = [numpy.asarray(each) for each in given]
        axes = [leaf.axes for leaf in leaves.values()]
        single = all(a.ndim == len(over) - 1 for a, over in zip(arrays, axes, strict=True))
        return [a[None] if single else a for a in arrays], single

    def _batch(self, x: Any, y: Any) -> tuple[Any, ...]:
        """Inputs and targets as (batch, …); class numbers become one-hot."""
        jax, axes = library("jax", "jax"), self.net.target.axes
        given, single = self._inputs(x)
        floats = [each.dtype for each in given if each.dtype.kind == "f"]
        dtype = jax.numpy.result_type(*floats) if floats else jax.numpy.result_type(float)
        y = jax.numpy.asarray(y)
        y = y[None] if single else y
        if y.ndim == len(axes) - 1 and self.net.criterion.target == "classes":
            rows = jax.nn.one_hot(y, axes[-1].size, dtype=dtype)
            ignored = self.net.criterion.ignore_index
            return *given, rows if ignored is None else rows * (y != ignored)[..., None]
        if y.ndim == 1 and len(axes) == 2 and axes[-1].size == 1:
            y = y[:, None]
        return *given, y.astype(dtype)

    def _arrays(self, params: Params) -> dict[str, Any]:
        """The parameters as jax has them; raises UnknownNameError for one that is missing."""
        numpy = library("jax", "jax").numpy
        for name in self.net.parameters:
            if name not in params:
                raise UnknownNameError(f"params lacks {name!r}: {nearest(name, params)}")
        return {name: numpy.asarray(params[name]) for name in self.net.parameters}

    def __reduce__(self) -> tuple[Any, ...]:
        return to_jax, (self.net,)


def to_jax(net: Network) -> JaxNetwork:
    """The network as pure functions of jax, by the program that ``derive`` prints.

    Loss and gradients are those of the network's mode, ``predict`` is that in evaluation.
    Raises ConfigError if jax is not installed or ``net`` is no network, NotApplicableError for one
    that draws noise.

    >>> import jax, numpy as np, pullback as pb
    >>> net = pb.Network(pb.Sequential(pb.Linear(4, 3), pb.Tanh(), pb.Linear(3, 2)),
    ...                  loss=pb.CrossEntropy())
    >>> params, program = net.init(seed=0), to_jax(net)
    >>> step = jax.jit(program.value_and_grad)
    >>> value, grads = step(params, np.ones((5, 4)), np.array([0, 1, 1, 0, 1]))
    >>> {name: grad.shape for name, grad in grads.items()}["2.weight"]
    (2, 3)
    """
    require("net", net, Network, "a network such as pb.Network(model, loss=pb.CrossEntropy())")
    library("jax", "jax")
    if net.noise:
        raise NotApplicableError(
            f"the functions of jax draw no noise, and in training mode this network has "
            f"{next(iter(net.noise))}; use to_jax(net.eval())"
        )
    gradients = {f"gradient.{name}": node for name, node in net.gradients.items()}
    with_loss = {"loss": net.total, **gradients}
    names = {name: f"gradient.{name}" for name in net.gradients}
    inputs = tuple(net.xs.values())
    both = (*inputs, net.target)
    tasks = [
        _task("predict", "The model's output.", {"output": net.eval().output}, inputs),
        _task("loss", "The loss.", {"loss": net.total}, both),
        _task("value_and_grad", "The loss and its gradients by name.", with_loss, both, names),
    ]
    if net.updates:
        tasks.append(_task("updated", "The states after a step.", net.updates, inputs))
    source = emitter.emit(tasks, [f"{net!r}"])
    return JaxNetwork(net, source, execute(source, {}))


def _task(
    name: str,
    doc: str,
    roots: Mapping[str, Node],
    inputs: tuple[Input, ...],
    keys: Mapping[str, str] | None = None,
) -> Task:
    program = lower(roots, emitter.RESERVED | {name}, inputs)
    if keys is None:
        return Task(name, doc, program, {key: key for key in roots})
    return Task(name, doc, program, keys, value="loss")
