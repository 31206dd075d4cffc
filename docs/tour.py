# %% [markdown]
# # A tour of pullback
#
# Read this file from top to bottom; every line runs (`python docs/tour.py`), and the tests run it
# too. A network is a composition of functions. Its derivative is a product of linear maps.
# Backpropagation is one way to bracket that product. pullback holds the product as an object.

# %% [markdown]
# ## 1. Axes have names
#
# Nothing below counts positions. A tensor has named axes; where two factors share a name they are
# multiplied along it, and an axis that the result does not have is summed. That one rule is the
# matrix product, the Hadamard product, the outer product, the mean, the trace and the transpose.

# %%
import numpy as np

from pullback.ir import Axis, Contract, Input, Parameter
from pullback.ir.evaluate import evaluate

batch, features, units = Axis("batch"), Axis("features", 3), Axis("units", 2)
x = Input("x", (batch, features))
W = Parameter("W", (units, features))
z = Contract((x, W), (batch, units))  # Σ over features: z = x Wᵀ

rng = np.random.default_rng(0)
values = {"x": rng.normal(size=(5, 3)), "W": rng.normal(size=(2, 3))}
assert np.allclose(evaluate(z, values), values["x"] @ values["W"].T)

# Equal expressions are one object, whatever the order of the operands:
assert Contract((W, x), (batch, units)) is z

# %% [markdown]
# ## 2. A derivative is a factor, and its transpose is free
#
# `linearise` is the only place where derivatives are written by hand. It gives, for each argument
# of a node, the local Jacobian: a tensor with the axes that go in and the axes that come out. Its
# structure follows from the axes: the batch goes in and out and is not on W, so along the batch
# the Jacobian is an identity, and nobody ever builds it.

# %%
from pullback.calculus import linearise

to_x = next(factor for arg, factor in linearise(z) if arg is x)
assert to_x.structure() == {"batch": "identity", "features": "dense", "units": "dense"}

# Forward mode applies factors, reverse mode applies their transposes. The transpose swaps in and
# out, and that is all: no backward rule is typed in anywhere.
dx = Input("dx", (batch, features))
dz = Input("dz", (batch, units))
forward, backward = to_x @ dx, to_x.T @ dz
values |= {"dx": rng.normal(size=(5, 3)), "dz": rng.normal(size=(5, 2))}
left = np.sum(evaluate(forward, values) * values["dz"])  # ⟨J dx, dz⟩
right = np.sum(values["dx"] * evaluate(backward, values))  # ⟨dx, Jᵀ dz⟩
assert np.isclose(left, right)

# %% [markdown]
# What moves entries is a factor, too: a *pattern*, 1 where an equation between indices holds. A
# convolution reads x at place i + t. Its pullback is the same product without the other factor, so
# it needs no rule, and no program ever builds the pattern.

# %%
from pullback.ir.layout import window

place, out, tap = Axis("place", 6), Axis("out", 4), Axis("tap", 3)
signal, kernel = Input("signal", (batch, place)), Parameter("kernel", (tap,))
conv = Contract((signal, window(place, out, tap), kernel), (batch, out))  # Σₜ x[i + t] w[t]
values |= {"signal": rng.normal(size=(5, 6)), "kernel": rng.normal(size=3)}
expected = [np.correlate(row, values["kernel"], "valid") for row in values["signal"]]
assert np.allclose(evaluate(conv, values), expected)

# %% [markdown]
# ## 3. A network and its backward pass
#
# Blocks have torch's names and torch's weight layout, and they only build nodes. The loss is part
# of the composition. Every equation has a name: z, a, δ, the gradients. Each δ stands once.

# %%
import pullback as pb
from pullback.derive import EquationList

model = pb.Sequential(pb.Linear(4, 3), pb.Sigmoid(), pb.Linear(3, 2), pb.Sigmoid())
net = pb.Network(model, loss=pb.BinaryCrossEntropy(from_logits=False))
print(EquationList.of(net.equations.values()).text())

# Sigmoid followed by cross-entropy: a textbook says that δ = a − t. Nobody told pullback. It took
# the derivative of −t log σ(z) − (1−t) log(1−σ(z)) and simplified it, for the mean over the batch:
params = net.init(seed=0)
X = rng.normal(size=(6, 4))
T = rng.integers(0, 2, size=(6, 2))
trace = net.trace(params, X, T)
assert np.allclose(trace.delta["2"], (trace.a["3"] - T) / 6)

# One layer further back, the recursion δ = (Wᵀ δ⁺) ⊙ f′(z), here with f′ = a (1 − a):
assert np.allclose(
    trace.delta["0"],
    (trace.delta["2"] @ params["2.weight"]) * trace.a["1"] * (1 - trace.a["1"]),
)

# %% [markdown]
# ## 4. The program that runs is one that you can read

# %%
print(net.value_and_grad_program.source)

# Is it right? `check` compares it with complex steps through a slow, obvious interpreter that
# shares nothing with it but the definition of the loss.
verdict = pb.check(net, params, X, T)
print(verdict.text())
assert verdict.ok

# %% [markdown]
# ## 5. The weights as one object

# %%
vector, unravel = pb.ravel(params)
assert vector.shape == (4 * 3 + 3 + 3 * 2 + 2,)
value, grads = net.value_and_grad(params, X, T)
slope, _ = pb.ravel(grads)
smaller, _ = net.value_and_grad(unravel(vector - 0.1 * slope), X, T)
assert smaller < value

# %% [markdown]
# ## 6. Training
#
# The update rule is made of nodes as well, and emitted like everything else.

# %%
result = pb.fit(net, X, T, epochs=300, batch_size=None, progress=False)
print(result.text())
assert result.history["loss"][-1] < 0.1 * result.history["loss"][0]

# %% [markdown]
# ## 7. The gradient of the gradient
#
# Forward and backward pass are nodes of the same kind, so the same machinery applies twice: the
# derivative of the gradient along v is a Hessian-vector product.

# %%
from pullback.calculus import gradients, hessian_vector_product

leaf = net.parameters["0.weight"]
direction = Input("v", leaf.axes)
(product,) = hessian_vector_product(net.total, [leaf], {leaf: direction})
v = rng.normal(size=(3, 4))
at = {**params, "x": X, "target": T.astype(float)}
Hv = evaluate(product, {**at, "v": v})

# A complex step of the gradient says the same:
(slope_node,) = gradients(net.total, [leaf])
shifted = {**at, "0.weight": params["0.weight"] + 1e-30j * v}
assert np.allclose(Hv, evaluate(slope_node, shifted).imag / 1e-30)

# %% [markdown]
# ## 8. Expressions, without drowning in indices

# %%
e = pb.expr("mean(log(1+exp(-y*(X@w))))", X="n d", y="n", w="d")
data = {"X": rng.normal(size=(8, 3)), "y": np.sign(rng.normal(size=8)), "w": np.zeros(3)}
value, gradient = e.function(wrt=["w"])(**data)
margin = data["y"] * (data["X"] @ data["w"])
assert np.isclose(value, np.log(2))
assert np.allclose(
    gradient["w"], -np.mean(data["y"][:, None] * data["X"] / (1 + np.exp(margin))[:, None], axis=0)
)
