"""JAX: a step that is compiled, a whole pass that is one compiled scan, a compiled prediction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pullback.bench.task import ADAM_RATE, MOMENTUM, RATE, BenchmarkTask

Step = Callable[[Any, Any, Any], tuple[Any, Any]]  # (state, x, wanted) -> state, loss


class Jit:
    """One call a step; the state's memory is given away and used again."""

    def __init__(self, task: BenchmarkTask, threads: int) -> None:
        import jax
        import jax.numpy as jnp

        step, self._state = _step(task)
        self._step = jax.jit(step, donate_argnums=0)
        x, wanted = map(jnp.asarray, task.data)
        rows = [task.rows(step) for step in range(task.batches)]
        self._batches = [(x[each], wanted[each]) for each in rows]

    def first_pass(self) -> float:
        losses = self._pass()
        return float(sum(loss.item() for loss in losses) / len(losses))

    def passes(self, count: int) -> None:
        for _ in range(count):
            losses = self._pass()
        losses[-1].block_until_ready()

    def _pass(self) -> list[Any]:
        losses = []
        for x, wanted in self._batches:
            self._state, loss = self._step(self._state, x, wanted)
            losses.append(loss)
        return losses


class WholePass:
    """One call a pass."""

    def __init__(self, task: BenchmarkTask, threads: int) -> None:
        import jax
        import jax.numpy as jnp

        step, self._state = _step(task)

        def whole(state: Any, x: Any, wanted: Any) -> Any:
            return jax.lax.scan(lambda state, batch: step(state, *batch), state, (x, wanted))

        self._whole = jax.jit(whole, donate_argnums=0)
        shape = (task.batches, task.batch)
        self._batches = [
            each.reshape(*shape, *each.shape[1:]) for each in map(jnp.asarray, task.data)
        ]

    def first_pass(self) -> float:
        return float(self._pass().mean())

    def passes(self, count: int) -> None:
        for _ in range(count):
            losses = self._pass()
        losses.block_until_ready()

    def _pass(self) -> Any:
        self._state, losses = self._whole(self._state, *self._batches)
        return losses


class JitPrediction:
    """A compiled function of the parameters and a batch."""

    def __init__(self, task: BenchmarkTask, threads: int) -> None:
        import jax
        import jax.numpy as jnp

        output = task.contender.jax_output(training=False)
        self._predict = jax.jit(lambda params, x: output(params, x)[0])
        self._params = {name: jnp.asarray(value) for name, value in task.params().items()}
        self._x = jnp.asarray(task.data[0])

    def first_pass(self) -> float:
        return float((self._predict(self._params, self._x) ** 2).mean())

    def passes(self, count: int) -> None:
        for _ in range(count):
            self._predict(self._params, self._x).block_until_ready()


def _step(task: BenchmarkTask) -> tuple[Step, Any]:
    """A step of training as a pure function, and the state before the first one."""
    import jax
    import jax.numpy as jnp

    output = task.contender.jax_output(training=True)

    def loss_of(params: Any, states: Any, x: Any, wanted: Any) -> Any:
        out, after = output({**params, **states}, x)
        if jnp.issubdtype(wanted.dtype, jnp.floating):
            return jnp.mean((out - wanted) ** 2), after
        picked = jnp.take_along_axis(out, wanted[..., None], axis=-1)[..., 0]
        return jnp.mean(jax.nn.logsumexp(out, axis=-1) - picked), after

    def step(state: Any, x: Any, wanted: Any) -> Any:
        params, states, memory, count = state
        derivative = jax.value_and_grad(loss_of, has_aux=True)
        (loss, after), grads = derivative(params, states, x, wanted)
        count = count + 1
        params, memory = _UPDATES[task.optimizer](params, grads, memory, count)
        return (params, {**states, **after}, memory, count), loss

    values = {name: jnp.asarray(value) for name, value in task.params().items()}
    params = {name: values.pop(name) for name in task.net.trained}

    def zeros() -> Any:
        return jax.tree.map(jnp.zeros_like, params)

    memory: dict[str, Callable[[], Any]]
    memory = {"sgd": lambda: (), "momentum": zeros, "adam": lambda: (zeros(), zeros())}
    return step, (params, values, memory[task.optimizer](), jnp.zeros((), jnp.float32))


def _sgd(params: Any, grads: Any, memory: Any, count: Any) -> tuple[Any, Any]:
    import jax

    return jax.tree.map(lambda w, g: w - RATE * g, params, grads), memory


def _momentum(params: Any, grads: Any, memory: Any, count: Any) -> tuple[Any, Any]:
    import jax

    memory = jax.tree.map(lambda v, g: MOMENTUM * v + g, memory, grads)
    return jax.tree.map(lambda w, v: w - RATE * v, params, memory), memory


def _adam(params: Any, grads: Any, memory: Any, count: Any) -> tuple[Any, Any]:
    import jax
    import jax.numpy as jnp

    mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, memory[0], grads)
    squares = jax.tree.map(lambda s, g: 0.999 * s + 0.001 * g * g, memory[1], grads)
    rate, root = ADAM_RATE / (1 - 0.9**count), jnp.sqrt(1 - 0.999**count)
    params = jax.tree.map(
        lambda w, m, s: w - rate * m / (jnp.sqrt(s) / root + 1e-8), params, mean, squares
    )
    return params, (mean, squares)


_UPDATES = {"sgd": _sgd, "momentum": _momentum, "adam": _adam}
