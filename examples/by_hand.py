"""A backward pass written by hand, beside the slopes that complex steps find: one line is wrong."""

import numpy as np

import pullback as pb


def value(p):
    return np.mean((np.tanh(X @ p["W"]) @ p["v"] - y) ** 2)


def grads(p):
    a = np.tanh(X @ p["W"])
    delta = 2 * (a @ p["v"] - y) / len(y)
    return {"v": a.T @ delta, "W": X.T @ (np.outer(delta, p["v"]) * (1 - a))}  # not 1 - a²


rng = np.random.default_rng(0)
X, y = rng.normal(size=(20, 3)), rng.normal(size=20)
params = {"W": rng.normal(size=(3, 4)), "v": rng.normal(size=4)}
print(pb.laws.gradient_check(value, grads(params), params))
