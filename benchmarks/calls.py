"""How long whole calls take, as people make them: a fit, and a search over a grid of settings.

    python benchmarks/calls.py [--rounds 7] [--no-grid]

``fit`` is ``pb.fit(net, X, y, epochs=20)`` on scikit-learn's digits (1,797 samples, 64-64-10 with a
rectifier, float32, batches of 32, SGD with momentum), everything that the call does included: its
checks, the shuffling, the record of each epoch. Beside it are the same epochs by ``NetClassifier``
and scikit-learn's ``MLPClassifier``, and as one program of jax: a scan over the batches of an
epoch in a scan over the epochs, compiled before, shuffled in the program or (``jax, given``) in an
order that it was given before. ``validation`` holds out a fifth and scores it after each epoch:
pb.fit with it and without, with the NumPy program to score, and the estimators of both that stop
early; ``lenet`` does the same with two epochs of a LeNet on digits enlarged to 28×28. ``grid`` is
``GridSearchCV`` over 3 widths and 3 learning rates with 5 folds; the first round of it, in which
each network is compiled where the cache has none, is told apart. All take turns in one process on
one thread; medians of processor time count.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest import mock

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import jax
import jax.numpy as jnp
import numpy as np
from networks import TASKS
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier

import pullback as pb
from pullback.estimators import NetClassifier
from pullback.report.words.provenance import processor
from pullback.train.compiled_engine import CompiledEngine
from pullback.train.engine import InMemory

EPOCHS, BATCH, RATE, MOMENTUM = 20, 32, 0.1, 0.9
WIDTHS, RATES = (32, 64, 128), (0.03, 0.1, 0.3)
Call = Callable[[], object]


def jax_fit(params: Any, x: Any, labels: Any, shuffled: bool) -> Call:
    """All epochs as one call of a compiled program."""
    whole = len(x) // BATCH * BATCH
    rest = len(x) - whole

    def loss_of(params: Any, x: Any, labels: Any) -> Any:
        first, first_bias, last, last_bias = params
        z = jax.nn.relu(x @ first.T + first_bias) @ last.T + last_bias
        picked = jnp.take_along_axis(z, labels[:, None], axis=1)[:, 0]
        return jnp.mean(jax.nn.logsumexp(z, axis=1) - picked)

    def step(state: Any, rows: Any) -> Any:
        params, memory = state
        loss, slopes = jax.value_and_grad(loss_of)(params, x[rows], labels[rows])
        memory = jax.tree.map(lambda v, g: MOMENTUM * v + g, memory, slopes)
        params = jax.tree.map(lambda w, v: w - RATE * v, params, memory)
        return (params, memory), loss

    def epoch(state: Any, given: Any) -> Any:
        order = jax.random.permutation(given, len(x)) if shuffled else given
        state, losses = jax.lax.scan(step, state, order[:whole].reshape(-1, BATCH))
        if rest:
            state, last = step(state, order[whole:])
            losses = jnp.append(losses, last)
        return state, losses.mean()

    @jax.jit
    def training(params: Any, orders: Any) -> Any:
        state = params, jax.tree.map(jnp.zeros_like, params)
        (params, _), losses = jax.lax.scan(epoch, state, orders)
        return params, losses

    def call() -> object:
        keys = jax.random.split(jax.random.key(0), EPOCHS)
        found = training(params, keys if shuffled else orders)
        return [np.asarray(each) for each in jax.tree.leaves(found)]

    rng = np.random.default_rng(0)
    orders = jnp.asarray([rng.permutation(len(x)) for _ in range(EPOCHS)])
    return call


def fits(x: Any, y: Any) -> dict[str, Call]:
    """Each way to train 20 epochs."""
    model = pb.Sequential(pb.Linear(64, 64), pb.ReLU(), pb.Linear(64, 10))
    net = pb.Network(model, loss=pb.CrossEntropy())
    params = [jnp.asarray(value) for value in net.init(seed=0, dtype=np.float32).values()]
    given = params, jnp.asarray(x), jnp.asarray(y)
    ours = NetClassifier(
        64, epochs=EPOCHS, batch_size=BATCH, optimizer=pb.optim.SGD(RATE, momentum=MOMENTUM)
    )
    theirs = MLPClassifier(
        64, solver="sgd", learning_rate_init=RATE, momentum=MOMENTUM, nesterovs_momentum=False,
        batch_size=BATCH, max_iter=EPOCHS, n_iter_no_change=EPOCHS,
    )  # fmt: skip
    return {
        "pb.fit": lambda: pb.fit(net, x, y, epochs=EPOCHS, progress=False),
        "NetClassifier.fit": lambda: ours.fit(x, y),
        "jax": jax_fit(*given, shuffled=True),
        "jax, given order": jax_fit(*given, shuffled=False),
        "scikit-learn": lambda: theirs.fit(x, y),
    }


def validated(x: Any, y: Any) -> dict[str, Call]:
    """Each way to train 20 epochs on four fifths and to look at the rest after each of them."""
    model = pb.Sequential(pb.Linear(64, 64), pb.ReLU(), pb.Linear(64, 10))
    net, learnt = pb.Network(model, loss=pb.CrossEntropy()), len(x) * 4 // 5
    given, options = (net, x[:learnt], y[:learnt]), dict(epochs=EPOCHS, progress=False)
    with_it = partial(pb.fit, *given, validation=(x[learnt:], y[learnt:]), **options)
    held = dict(early_stopping=True, validation_fraction=0.2, n_iter_no_change=EPOCHS)
    ours = NetClassifier(
        64, epochs=EPOCHS, batch_size=BATCH, optimizer=pb.optim.SGD(RATE, momentum=MOMENTUM), **held
    )
    theirs = MLPClassifier(
        64, solver="sgd", learning_rate_init=RATE, momentum=MOMENTUM, nesterovs_momentum=False,
        batch_size=BATCH, max_iter=EPOCHS, **held,
    )  # fmt: skip
    return {
        "pb.fit": with_it,
        "pb.fit without it": partial(pb.fit, *given, **options),
        "scored by NumPy": by_numpy(with_it),
        "NetClassifier.fit": lambda: ours.fit(x, y),
        "scikit-learn": lambda: theirs.fit(x, y),
    }


def lenet() -> dict[str, Call]:
    """Two epochs of a LeNet, with validation and without."""
    task = TASKS["lenet"]()
    params = task.net.init(seed=0, dtype=np.float32)
    given = dict(params=params, epochs=2, batch_size=task.batch, progress=False)
    with_it = partial(pb.fit, task.net, *task.train, validation=task.test, **given)
    return {
        "pb.fit": with_it,
        "pb.fit without it": partial(pb.fit, task.net, *task.train, **given),
        "scored by NumPy": by_numpy(with_it),
    }


def by_numpy(call: Call) -> Call:
    """The same call whose validation data are scored by the NumPy program."""

    def called() -> object:
        with mock.patch.object(CompiledEngine, "scores", InMemory.scores):
            return call()

    return called


def searches(x: Any, y: Any) -> dict[str, Call]:
    """The grid of each of the two."""
    ours = NetClassifier(epochs=EPOCHS, batch_size=BATCH, optimizer="sgd", random_state=0)
    theirs = MLPClassifier(
        solver="sgd", batch_size=BATCH, max_iter=EPOCHS, n_iter_no_change=EPOCHS, random_state=0
    )
    widths = {"hidden_layer_sizes": [(width,) for width in WIDTHS]}
    grids = {"learning_rate": RATES}, {"learning_rate_init": RATES}
    return {
        name: GridSearchCV(each, widths | {k: list(v) for k, v in grid.items()}, cv=5).fit
        for (name, each), grid in zip(
            {"NetClassifier": ours, "scikit-learn": theirs}.items(), grids, strict=True
        )
    }


def taking_turns(calls: dict[str, Call], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of processor time, round after round."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            started = time.process_time()
            call()
            found[name].append((time.process_time() - started) * 1e3)
    return found


def show(found: dict[str, list[float]]) -> None:
    """First calls, medians of the others, and how many times as long as ours these are."""
    ours = statistics.median(next(iter(found.values()))[1:])
    for name, took in found.items():
        median = statistics.median(took[1:])
        print(f"  {name:<20}{took[0]:>10.0f}{median:>10.1f}{median / ours:>8.2f}×")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--no-grid", action="store_true")
    given = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    digits, labels = load_digits(return_X_y=True)
    x = (digits / 16).astype(np.float32)
    print(
        f"{processor()}, load {os.getloadavg()[0]:.1f}, jax {jax.__version__}; ms of processor "
        f"time: the first call, the median of {given.rounds - 1} others, and the ratio to ours"
    )
    print(f"fit, {EPOCHS} epochs")
    show(taking_turns(fits(x, labels), given.rounds))
    print(f"validation, {EPOCHS} epochs")
    show(taking_turns(validated(x, labels), given.rounds))
    print("lenet, validation, 2 epochs")
    show(taking_turns(lenet(), given.rounds))
    if not given.no_grid:
        print("grid, 3 × 3 with 5 folds")
        calls = {name: lambda fit=fit: fit(x, labels) for name, fit in searches(x, labels).items()}
        show(taking_turns(calls, 3))


if __name__ == "__main__":
    main()
