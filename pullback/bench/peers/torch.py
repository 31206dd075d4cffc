"""PyTorch: a module, its loss, and one of its fused optimisers, batch by batch."""

from __future__ import annotations

import os
import shutil
from typing import Any

from pullback.bench.absent import AbsentError
from pullback.bench.task import ADAM_RATE, MOMENTUM, RATE, BenchmarkTask


class Eager:
    """Every operation is a call of Python's."""

    def __init__(self, task: BenchmarkTask, threads: int) -> None:
        torch, self._model = _ready(task, threads)
        self._optimizer = _optimizer(torch, task.optimizer, self._model.parameters())
        x, wanted = (torch.tensor(each) for each in task.data)
        rows = [task.rows(step) for step in range(task.batches)]
        self._batches = [(x[each], wanted[each]) for each in rows]
        losses = torch.nn.functional
        if wanted.is_floating_point():
            self._loss: Any = lambda x, wanted: losses.mse_loss(self._model(x), wanted)
        else:
            self._loss = lambda x, wanted: losses.cross_entropy(
                self._model(x).movedim(-1, 1), wanted
            )

    def first_pass(self) -> float:
        losses = [float(self._step(x, wanted)) for x, wanted in self._batches]
        return sum(losses) / len(losses)

    def passes(self, count: int) -> None:
        for _ in range(count):
            for x, wanted in self._batches:
                self._step(x, wanted)

    def _step(self, x: Any, wanted: Any) -> Any:
        self._optimizer.zero_grad(set_to_none=True)
        loss = self._loss(x, wanted)
        loss.backward()
        self._optimizer.step()
        return loss.detach()


class CompiledTorch(Eager):
    """Forward and backward pass are compiled, as torch.compile does it by default."""

    def __init__(self, task: BenchmarkTask, threads: int) -> None:
        _check_compiler()
        super().__init__(task, threads)
        import torch

        torch.compiler.reset()
        self._loss = torch.compile(self._loss)


class EagerPrediction:
    """The module without gradients."""

    def __init__(self, task: BenchmarkTask, threads: int) -> None:
        self._torch, module = _ready(task, threads)
        self._model: Any = module.eval()
        self._x = self._torch.tensor(task.data[0])

    def first_pass(self) -> float:
        with self._torch.inference_mode():
            return float(self._model(self._x).square().mean())

    def passes(self, count: int) -> None:
        with self._torch.inference_mode():
            for _ in range(count):
                self._model(self._x)


class CompiledPrediction(EagerPrediction):
    """The same, compiled."""

    def __init__(self, task: BenchmarkTask, threads: int) -> None:
        _check_compiler()
        super().__init__(task, threads)
        self._torch.compiler.reset()
        self._model = self._torch.compile(self._model)


def _ready(task: BenchmarkTask, threads: int) -> tuple[Any, Any]:
    """torch, and the module with the parameters of the task."""
    import torch

    torch.set_num_threads(threads)
    module = task.contender.torch_module()
    given = {name: torch.tensor(value) for name, value in task.params().items()}
    module.load_state_dict(given, strict=False)  # what we have no use for, such as a counter
    return torch, module


def _check_compiler() -> None:
    compiler = os.environ.get("CXX")
    if not any(shutil.which(each) for each in ([compiler] if compiler else ["g++", "clang++"])):
        raise AbsentError("there is no C++ compiler, which torch.compile needs")


def _optimizer(torch: Any, name: str, parameters: Any) -> Any:
    if name == "adam":
        return torch.optim.Adam(parameters, ADAM_RATE, fused=True)
    momentum = MOMENTUM if name == "momentum" else 0.0
    return torch.optim.SGD(parameters, RATE, momentum=momentum, fused=True)
