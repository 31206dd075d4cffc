"""pullback: the derivative of a network, held as a product of linear maps.

import pullback as pb

model = pb.Sequential(pb.Linear(64, 32), pb.Tanh(), pb.Linear(32, 10))
net = pb.Network(model, loss=pb.CrossEntropy())
params = net.init(seed=0)
value, grads = net.value_and_grad(params, X, Y)
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

__version__ = "0.1.0"

# Names load when they are first asked for: the libraries behind them are heavy.
_NN = """
    Activation BCELoss BinaryCrossEntropy CrossEntropy ELU Erf GELU Identity LeakyReLU Linear
    LogisticLoss MSELoss ReLU Residual SELU Sequential SiLU Sigmoid Sin Softplus SquaredError Tanh
""".split()  # noqa: SIM905  twenty quoted names are harder to read
_FACE: dict[str, str] = {
    **dict.fromkeys(_NN, "pullback.nn"),
    "init": "pullback.nn",
    "Network": "pullback.run.network",
    "Trace": "pullback.run.trace",
    "ravel": "pullback.run.vector",
    "check": "pullback.run.check",
    "expr": "pullback.run.expression",
    "Expression": "pullback.run.expression",
    "fit": "pullback.run.fit",
    "Checkpoints": "pullback.run.resume",
    "EarlyStopping": "pullback.run.stopping",
    "optim": "pullback.run",
    "jacobian": "pullback.plan.jacobian",
    "least_squares": "pullback.plan.least_squares",
    "ggn_vector_product": "pullback.plan.curvature",
    "ntk": "pullback.plan.curvature",
    "laplace": "pullback.plan.laplace",
    "plan_chain": "pullback.plan.chain",
    "chain_product": "pullback.plan.chain_product",
    **dict.fromkeys(("forecast", "phase_diagram", "assert_gradients_ok"), "pullback.moments"),
    **dict.fromkeys("closed_form ClosedForm Recurrence FixedPoint".split(), "pullback.closed"),
    **dict.fromkeys(("from_torch", "to_torch", "to_jax"), "pullback.interop"),
    **dict.fromkeys(("from_onnx", "to_onnx"), "pullback.interop"),
    "report": "pullback.report",
    "derive": "pullback.derive",
    "Derivation": "pullback.derive",
    "laws": "pullback",
    "errors": "pullback",
}

__all__ = sorted(_FACE)


class _Face(ModuleType):
    """The package as a module whose functions are not hidden by rooms of the same name.

    Importing ``pullback.report`` would bind the room over the function ``report``.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, ModuleType) and _FACE.get(name) == value.__name__:
            return
        super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        home = _FACE.get(name)
        if home is None:
            raise AttributeError(f"module 'pullback' has no attribute {name!r}")
        if home == "pullback" or f"{home}.{name}" in ("pullback.run.optim", "pullback.nn.init"):
            return import_module(f"{home}.{name}")
        value = getattr(import_module(home), name)
        self.__dict__[name] = value
        return value

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *__all__})


sys.modules[__name__].__class__ = _Face
