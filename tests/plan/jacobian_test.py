"""A Jacobian is jax's and torch's, whatever is asked of it and in whatever order it is computed."""

from functools import lru_cache
from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("jax")
pytest.importorskip("torch")

import jax
import jax.numpy as jnp
import jax_peer
import torch
import torch_peer
from zoo import FLOAT64, named

import pullback as pb
from pullback.errors import ConfigError, ShapeError, SingularError, UnknownNameError
from pullback.laws import bracket_check
from pullback.plan.jacobian.bind import Numbers
from pullback.plan.jacobian.operators import MatrixOperator, SumOperator, as_array, multiply, run

TIGHT = 1e-9
every_case = pytest.mark.parametrize("case", FLOAT64, ids=repr)


def close(found, expected, tight=TIGHT):
    """Relative to the largest entry, or absolute where that is below 1."""
    assert np.shape(found) == np.shape(expected)
    assert np.max(np.abs(found - expected)) <= tight * max(1.0, np.max(np.abs(expected)))


def by_jax(case):
    """(batch, outputs, features)."""
    params, (X, _) = case.params(), case.data()

    def one(x):
        return jax_peer.apply(case.model, params, x[None])[0]

    return np.asarray(jax.vmap(jax.jacrev(one))(jnp.asarray(X)))


def input_by_torch(case):
    """(batch, outputs, features)."""
    module, (X, _) = torch_peer.twin(case), case.data()
    found = torch.func.vmap(torch.func.jacrev(module))(torch.tensor(X))
    return found.detach().numpy()


@lru_cache
def by_torch(case):
    """(batch·outputs, parameters)."""
    module, (X, _) = torch_peer.twin(case), case.data()
    params = {name: p.detach() for name, p in module.named_parameters()}

    def whole(params):
        return torch.func.functional_call(module, params, torch.tensor(X))

    found = torch.func.jacrev(whole)(params)
    rows = case.batch * case.outputs
    return np.concatenate([each.reshape(rows, -1).numpy() for each in found.values()], axis=1)


@pytest.mark.parametrize("case", FLOAT64[::4], ids=repr)
def test_torch_and_jax_agree_about_the_input(case):
    close(input_by_torch(case), by_jax(case))


@every_case
def test_with_respect_to_the_input(case):
    J = pb.jacobian(case.net, case.params(), case.data()[0])
    D = input_by_torch(case)
    Dt = D.swapaxes(1, 2)
    batch, m, n = D.shape
    assert J.shape == D.shape
    assert J.T.shape == Dt.shape
    rng = np.random.default_rng(0)
    V, U, r = rng.normal(size=(n, 3)), rng.normal(size=(m, 2)), rng.normal(size=(batch, m))
    close(J.dense(), D)
    close(J @ V, D @ V)
    close(J @ V[:, 0], D @ V[:, 0])
    close(J.T @ U, Dt @ U)
    close(J.gram(), D @ Dt)
    close(J.T.gram(), Dt @ D)
    close(J.diagonal(), (D**2).sum(axis=1))
    close(J.T.dense(), Dt)
    step = np.linalg.solve(Dt @ D + 0.2 * np.eye(n), Dt @ r[..., None])[..., 0]
    close(J.solve(r, damping=0.2), step)
    left, s, right = J.svd()
    close(s, np.linalg.svd(D)[1][:, : s.shape[1]])
    close((left * s[:, None]) @ right, D)
    close(J.svd(1)[1], s[:, :1])


@every_case
def test_with_respect_to_parameters(case):
    J = pb.jacobian(case.net, case.params(), case.data()[0], wrt="params")
    D = by_torch(case)
    rows, cols = D.shape
    assert J.shape == D.shape
    rng = np.random.default_rng(0)
    V, U = rng.normal(size=(cols, 2)), rng.normal(size=(rows, 2))
    close(J.dense(), D)
    close(J @ V, D @ V)
    close(J.T @ U, D.T @ U)
    close(J.T @ U[:, 0], D.T @ U[:, 0])
    close(J.gram(), D @ D.T)
    close(J.T.gram(), D.T @ D)
    close(J.diagonal(), (D**2).sum(axis=0))
    close(J.T.diagonal(), (D**2).sum(axis=1))
    close(J.solve(U, damping=0.2), D.T @ np.linalg.solve(D @ D.T + 0.2 * np.eye(rows), U))
    close(J.svd(1)[1], np.linalg.svd(D)[1][:1])


@pytest.mark.parametrize("case", FLOAT64[::4], ids=repr)
def test_with_respect_to_one_parameter(case):
    D, start = by_torch(case), 0
    for name, value in case.params().items():
        J = pb.jacobian(case.net, case.params(), case.data()[0], wrt=name)
        close(J.dense(), D[:, start : start + value.size])
        close(J.gram(), D[:, start : start + value.size] @ D[:, start : start + value.size].T)
        start += value.size


@pytest.mark.parametrize(
    "name", ["Tanh()", "nothing square", "deep linear", "depth 3", "residual, nested"]
)
def test_every_bracketing_gives_the_same_product(name):
    """To 1e-11, relative to the product without signs, whichever bracketing it is."""
    case = named(name)
    J = pb.jacobian(case.net, case.params(), case.data()[0][0])
    held = [
        f if not isinstance(f, SumOperator) else MatrixOperator(f.dense())
        for f in reversed(J.factors)
    ]
    if len(held) < 2:
        pytest.skip("one factor has no bracketing")
    found = bracket_check(held[:8], multiply, as_array, tolerance=1e-11)
    assert found.ok, found


@pytest.mark.parametrize("case", [c for c in FLOAT64 if "residual" in c.name], ids=repr)
def test_sum_of_branches_is_one_matrix_however_it_is_made(case):
    """Applied to an identity, from the left or the right, or each branch multiplied out."""
    J = pb.jacobian(case.net, case.params(), case.data()[0])
    for factor in (f for f in J.factors if isinstance(f, SumOperator)):
        applied = factor.apply(np.eye(factor.cols))
        close(factor.dense(), applied, 1e-12)
        close(factor.dense(by_rows=True), applied, 1e-12)
        close(factor.T.dense(), applied.swapaxes(-1, -2), 1e-12)


@pytest.mark.parametrize("name", ["depth 8", "residuals in a row", "nothing square"])
def test_forward_reverse_and_optimal_agree(name):
    case = named(name)
    J = pb.jacobian(case.net, case.params(), case.data()[0])
    plan = J.plan("dense")
    expected = input_by_torch(case)
    for piece in (plan.forward, plan.reverse, plan.optimal):
        close(as_array(run(piece, J.factors)), expected)


def network(*widths, seed=0, dtype=np.float64):
    layers = []
    for at, (n_in, n_out) in enumerate(pairwise(widths)):
        layers += [pb.Linear(n_in, n_out), pb.Tanh()] if at < len(widths) - 2 else []
    model = pb.Sequential(*layers, pb.Linear(widths[-2], widths[-1]))
    net = pb.Network(model, loss=pb.SquaredError())
    return net, net.init(seed=seed, dtype=dtype)


def test_one_sample_as_a_vector_gives_matrices():
    net, params = network(5, 3, 4)
    x = np.linspace(-1, 1, 5)
    J, stack = pb.jacobian(net, params, x), pb.jacobian(net, params, x[None])
    assert (J.shape, stack.shape) == ((4, 5), (1, 4, 5))
    close(J.dense(), stack.dense()[0])
    close(J.solve(np.ones(4), damping=1.0), stack.solve(np.ones((1, 4)), damping=1.0)[0])
    assert J.solve(np.ones((4, 7)), damping=1.0).shape == (5, 7)
    assert np.ndim(J.logdet()) == 0
    assert J.output.shape == (4,)


def test_product_through_a_bottleneck_is_never_multiplied_for_a_step():
    """A step, singular values and JᵀJ's diagonal keep the product as two parts through width 4."""
    net, params = network(60, 20, 4, 30, 50)
    x = np.random.default_rng(0).normal(size=60)
    J = pb.jacobian(net, params, x)
    for consumer in ("solve", "svd", "diagonal"):
        parts = J.plan(consumer).optimal.parts
        assert [(part.rows, part.cols) for part in parts] == [(50, 4), (4, 60)]
    D = J.dense()
    assert len(J.svd()[1]) == 4
    close(J.svd(3)[1], np.linalg.svd(D)[1][:3])
    assert J.logdet() == -np.inf
    r = np.random.default_rng(1).normal(size=50)
    for damping in (1e-6, 1e-3, 1.0):  # by QR, by QR, by the small Gram matrices
        augmented = np.vstack([D, np.sqrt(damping) * np.eye(60)])
        exact = np.linalg.lstsq(augmented, np.concatenate([r, np.zeros(60)]))[0]
        close(J.solve(r, damping=damping), exact)


def test_solve_without_damping_is_least_squares_or_says_that_it_is_singular():
    net, params = network(3, 8, 9)
    rng = np.random.default_rng(0)
    X, r = rng.normal(size=(2, 3)), rng.normal(size=(2, 9))
    J = pb.jacobian(net, params, X)
    expected = [np.linalg.lstsq(d, each)[0] for d, each in zip(J.dense(), r, strict=True)]
    close(J.solve(r), np.array(expected))
    wide = pb.jacobian(*network(9, 8, 3), rng.normal(size=9))
    with pytest.raises(SingularError, match=r"J \(3, 9\) has rank 3 at most; give a damping"):
        wide.solve(np.ones(3))
    narrow = pb.jacobian(*network(9, 2, 9), rng.normal(size=9))
    with pytest.raises(SingularError, match="rank 2 at most"):
        narrow.solve(np.ones(9))
    dead = {name: 0 * value for name, value in params.items()}
    with pytest.raises(SingularError, match="rank"):
        pb.jacobian(net, dead, X).solve(r)
    with pytest.raises(SingularError, match="damping is -1"):
        J.solve(r, damping=-1)


def test_log_determinant():
    """log |det J| of a flow, by its factors; ½ log det of the smaller Gram matrix otherwise."""
    rng = np.random.default_rng(0)
    square = pb.jacobian(*network(6, 6, 6), rng.normal(size=(3, 6)))
    close(square.logdet(), np.linalg.slogdet(square.dense())[1])
    assert all(part.how == "given" for part in square.plan("logdet").optimal.parts)
    for widths in ((3, 5, 8), (8, 5, 3)):
        J = pb.jacobian(*network(*widths), rng.normal(size=(3, widths[0])))
        small = J.gram() if widths[0] > widths[-1] else J.T.gram()
        close(J.logdet(), np.linalg.slogdet(small)[1] / 2)
        close(J.T.logdet(), J.logdet())
    net, params = network(4, 5, 2)
    for batch in (2, 40):  # fewer rows than parameters, and more
        P = pb.jacobian(net, params, rng.normal(size=(batch, 4)), wrt="params")
        with np.errstate(divide="ignore"):
            close(P.logdet(), np.log(np.linalg.svd(P.dense())[1]).sum(), 1e-7)


def test_parameters_by_rows_and_by_columns_give_one_step():
    net, params = network(2, 3, 2)
    for batch in (3, 30):
        X = np.random.default_rng(batch).normal(size=(batch, 2))
        J = pb.jacobian(net, params, X, wrt="params")
        D, r = J.dense(), np.random.default_rng(0).normal(size=(batch, 2))
        exact = np.linalg.solve(D.T @ D + 0.1 * np.eye(D.shape[1]), D.T @ r.ravel())
        close(J.solve(r, damping=0.1), exact)
        back = np.linalg.solve(D @ D.T + 0.1 * np.eye(len(D)), D @ exact)
        close(J.T.solve(exact, damping=0.1), back)
    assert J.plan("solve").chosen == "written out"
    assert J.T.plan("gram").consumer == "normal"


def test_direction_by_name():
    net, params = network(2, 3, 2)
    J = pb.jacobian(net, params, np.ones((4, 2)), wrt="params")
    close(J @ params, J @ pb.ravel(params)[0])


def test_result_has_the_dtype_of_x():
    net, params = network(6, 4, 5, dtype=np.float32)
    X = np.ones((3, 6), np.float32)
    for wrt in ("input", "params", "0.weight"):
        J = pb.jacobian(net, params, X, wrt=wrt)
        r = np.ones(15 if wrt != "input" else (3, 5), np.float32)
        found = (J.dense(), J.gram(), J.T.gram(), J.diagonal(), J.solve(r, damping=0.1), *J.svd(2))
        assert {each.dtype for each in found} == {np.dtype(np.float32)}


def test_plans_are_made_once():
    net, params = network(6, 4, 5)
    first, second = (pb.jacobian(net, params, np.ones((2, 6))) for _ in range(2))
    assert first.plan("gram") is second.plan("gram")
    assert first.T.plan("gram").consumer == "gram"
    assert first.T.plan("gram") is not first.plan("gram")


@pytest.mark.parametrize(
    ("wrt", "error", "says"),
    [
        ("inputs", UnknownNameError, "did you mean 'input'"),
        ("0.weigth", UnknownNameError, "0.weight"),
    ],
)
def test_unknown_wrt(wrt, error, says):
    net, params = network(3, 2)
    with pytest.raises(error, match=says):
        pb.jacobian(net, params, np.ones((1, 3)), wrt=wrt)


def test_bad_arguments_name_what_was_expected():
    net, params = network(6, 4, 5)
    J = pb.jacobian(net, params, np.ones((2, 6)))
    P = pb.jacobian(net, params, np.ones((2, 6)), wrt="params")
    with pytest.raises(ConfigError, match="expected a network"):
        pb.jacobian(net.model, params, np.ones((2, 6)))
    with pytest.raises(ShapeError, match=r"X has shape \(2, 5\); expected \(batch, features=6\)"):
        pb.jacobian(net, params, np.ones((2, 5)))
    with pytest.raises(ShapeError, match=r"V has shape \(5,\); expected \(6\)"):
        J @ np.ones(5)
    with pytest.raises(ShapeError, match=r"r has shape \(2, 6\); expected \(5\)"):
        J.solve(np.ones((2, 6)), damping=1)
    with pytest.raises(ShapeError, match=r"V has shape \(3,\); expected \(53\)"):
        P @ np.ones(3)
    with pytest.raises(ShapeError, match="U has shape"):
        P.T @ np.ones(3)
    with pytest.raises(ShapeError, match="k is 7"):
        J.svd(7)
    with pytest.raises(UnknownNameError, match="did you mean 'gram'"):
        J.plan("grams")


def test_samples_that_depend_on_each_other_have_no_jacobian_of_their_own():
    from pullback.ir import Axis, Contract, Input
    from pullback.plan.jacobian.local import local_jacobians

    batch, features = Axis("batch"), Axis("features", 2)
    x = Input("x", (batch, features))
    mixed = Contract((Contract((x,), (features,)), x), (batch, features))
    numbers = Numbers(local_jacobians(mixed, (x,)), {}, {"x": np.ones((3, 2))}, batch)
    with pytest.raises(ConfigError, match="other samples"):
        numbers.chain(numbers.local.chain(x, mixed))
