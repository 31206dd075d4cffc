"""pullback: the derivative of a network, held as a product of linear maps.

import pullback as pb

model = pb.Sequential(pb.Linear(64, 32), pb.Tanh(), pb.Linear(32, 10))
net = pb.Network(model, loss=pb.CrossEntropy())
params = net.init(seed=0)
value, grads = net.value_and_grad(params, X, Y)
"""

from __future__ import annotations

from pullback.lazy import lazy

__version__ = "0.2.0.dev0"

# Names load when they are first asked for: the libraries behind them are heavy.
_NN = """
    Activation AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveMaxPool1d AdaptiveMaxPool2d AvgPool1d
    AvgPool2d BCELoss BatchNorm1d BatchNorm2d BinaryCrossEntropy Concat Conv1d Conv2d
    ConvTranspose1d ConvTranspose2d CrossEntropy Dropout Dropout1d Dropout2d ELU Embedding Erf
    Flatten GELU GLU GRU GaussianNLLLoss GroupNorm Hardsigmoid Hardswish Hardtanh HuberLoss
    Identity KLDivLoss L1Loss LSTM LayerNorm LeakyReLU Linear LogSigmoid LogSoftmax LogisticLoss
    Loss MSELoss MaxPool1d MaxPool2d Mish MultiheadAttention NLLLoss PReLU Parallel
    PoissonNLLLoss RMSNorm RNN ReLU ReLU6 Residual SELU Sequential SiLU Sigmoid Sin SmoothL1Loss
    Softmax Softplus Softsign SquaredError Tanh TransformerEncoderLayer Unflatten Upsample
    scaled_dot_product_attention
""".split()  # noqa: SIM905  twenty quoted names are harder to read
_FACE: dict[str, str] = {
    **dict.fromkeys(_NN, "pullback.nn"),
    "init": "pullback.nn",
    "Network": "pullback.net.network",
    "Trace": "pullback.net.trace",
    "ravel": "pullback.net.vector",
    "check": "pullback.train.check",
    "expr": "pullback.net.expression",
    "Expression": "pullback.net.expression",
    "fit": "pullback.train.fit",
    **dict.fromkeys(("save", "load"), "pullback.train.saved"),
    "join_processes": "pullback.train.jax.hosts",
    "Checkpoints": "pullback.train.resume",
    "EarlyStopping": "pullback.train.stopping",
    "optim": "pullback.train",
    "jacobian": "pullback.plan.jacobian.front",
    "least_squares": "pullback.plan.uses.least_squares",
    "ggn_vector_product": "pullback.plan.curvature.gauss_newton",
    "ntk": "pullback.plan.curvature.tangent_kernel",
    "curvature": "pullback.plan.curvature.front",
    "spectrum": "pullback.plan.curvature.spectrum",
    "laplace": "pullback.plan.curvature.laplace",
    "plan_chain": "pullback.plan.chain.planner",
    "chain_product": "pullback.plan.chain.chain_product",
    "plan_memory": "pullback.plan.memory.front",
    "accumulate": "pullback.plan.elimination.front",
    "Accumulation": "pullback.plan.elimination.accumulation",
    **dict.fromkeys(("forecast", "phase_diagram", "assert_gradients_ok"), "pullback.moments"),
    **dict.fromkeys(
        ["closed_form", "ClosedForm", "Recurrence", "FixedPoint", "StateSpace"], "pullback.closed"
    ),
    **dict.fromkeys(("from_torch", "to_torch", "to_jax"), "pullback.interop"),
    **dict.fromkeys(("from_onnx", "to_onnx"), "pullback.interop"),
    **dict.fromkeys(("report", "summary"), "pullback.report"),
    "doctor": "pullback.doctor",
    "derive": "pullback.derive",
    "Derivation": "pullback.derive",
    **dict.fromkeys(("expect", "normal", "Expectation"), "pullback.derive"),
    "laws": "pullback",
    "errors": "pullback",
}

__all__ = sorted(_FACE)

lazy(__name__, _FACE)
