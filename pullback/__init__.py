"""pullback: the derivative of a network, held as a product of linear maps.

import pullback as pb

model = pb.Sequential(pb.Linear(64, 32), pb.Tanh(), pb.Linear(32, 10))
net = pb.Network(model, loss=pb.CrossEntropy())
params = net.init(seed=0)
value, grads = net.value_and_grad(params, X, Y)
"""

from __future__ import annotations

from pullback.lazy import lazy

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
    **dict.fromkeys(["closed_form", "ClosedForm", "Recurrence", "FixedPoint"], "pullback.closed"),
    **dict.fromkeys(("from_torch", "to_torch", "to_jax"), "pullback.interop"),
    **dict.fromkeys(("from_onnx", "to_onnx"), "pullback.interop"),
    "report": "pullback.report",
    "derive": "pullback.derive",
    "Derivation": "pullback.derive",
    "laws": "pullback",
    "errors": "pullback",
}

__all__ = sorted(_FACE)

lazy(__name__, _FACE)
