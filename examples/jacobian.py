"""Jacobians, kernels and curvature of a trained network, never written out unless asked for."""

import numpy as np

import pullback as pb

net = pb.Network(pb.Sequential(pb.Linear(4, 16), pb.Tanh(), pb.Linear(16, 2)), pb.CrossEntropy())
X = np.random.default_rng(0).normal(size=(40, 4))
Y = (X[:, 0] * X[:, 1] > 0).astype(int)
params = pb.fit(net, X, Y, epochs=50, progress=False).params

J = pb.jacobian(net, params, X, wrt="params")
print("J", J.shape)
print("(Jᵀ J + λ I)⁻¹ Jᵀ r", J.solve(np.ones(J.shape[0]), damping=0.1).shape)
kernel = pb.ntk(net, params, X)
print("tangent kernel", kernel.shape, f"largest eigenvalue {np.linalg.eigvalsh(kernel)[-1]:.3g}")
mean, covariance = pb.laplace(net, params, X, Y).predictive(X)
spread = np.sqrt(covariance[:, 0, 0])
print(f"Laplace: ± {spread.min():.3g} to ± {spread.max():.3g} at the first output")
