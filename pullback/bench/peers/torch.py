"""PyTorch: a module, its loss, and one of its fused optimisers, batch by batch."""

from __future__ import annotations

import os
import shutil
from itertools import pairwise
from typing import Any

from pullback.bench.peers import AbsentError
from pullback.bench.task import ADAM_RATE, MOMENTUM, RATE, TrainingTask


class Eager:
    """Every operation is a call of Python's."""

    def __init__(self, task: TrainingTask, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        act = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}[task.activation]
        layers = [b for sizes in pairwise(task.widths) for b in (torch.nn.Linear(*sizes), act())]
        self._model = torch.nn.Sequential(*layers[:-1])
        given = {name: torch.tensor(value) for name, value in task.params().items()}
        self._model.load_state_dict(given)
        self._optimizer = _optimizer(torch, task.optimizer, self._model.parameters())
        x, labels = (torch.tensor(each) for each in task.data)
        rows = [task.rows(step) for step in range(task.batches)]
        self._batches = [(x[each], labels[each]) for each in rows]
        cross_entropy = torch.nn.CrossEntropyLoss()
        self._loss: Any = lambda x, labels: cross_entropy(self._model(x), labels)

    def first_pass(self) -> float:
        losses = [float(self._step(x, labels)) for x, labels in self._batches]
        return sum(losses) / len(losses)

    def passes(self, count: int) -> None:
        for _ in range(count):
            for x, labels in self._batches:
                self._step(x, labels)

    def _step(self, x: Any, labels: Any) -> Any:
        self._optimizer.zero_grad(set_to_none=True)
        loss = self._loss(x, labels)
        loss.backward()
        self._optimizer.step()
        return loss.detach()


class CompiledTorch(Eager):
    """Forward and backward pass are compiled, as torch.compile does it by default."""

    def __init__(self, task: TrainingTask, threads: int) -> None:
        compiler = os.environ.get("CXX")
        if not any(shutil.which(each) for each in ([compiler] if compiler else ["g++", "clang++"])):
            raise AbsentError("there is no C++ compiler, which torch.compile needs")
        super().__init__(task, threads)
        import torch

        torch.compiler.reset()
        self._loss = torch.compile(self._loss)


def _optimizer(torch: Any, name: str, parameters: Any) -> Any:
    if name == "adam":
        return torch.optim.Adam(parameters, ADAM_RATE, fused=True)
    momentum = MOMENTUM if name == "momentum" else 0.0
    return torch.optim.SGD(parameters, RATE, momentum=momentum, fused=True)
