"""Weights, bounds, fixed unknowns, several starts and robust losses: SciPy's answers."""

import numpy as np
import pytest
from nist_problems import PROBLEMS
from scipy.optimize import curve_fit
from scipy.optimize import least_squares as by_scipy

import pullback as pb
from pullback.errors import ConfigError, DataError, ShapeError, UnknownNameError
from pullback.plan.uses.weighted import LOSSES

X = np.linspace(0, 5, 40)
MODEL = pb.expr("a*exp(-k*x) + c", x="n", a="", k="", c="")
START = {"a": 1.0, "k": 0.3, "c": 0.0}


def curve(x, a, k, c):
    return a * np.exp(-k * x) + c


def noisy(seed=0, outliers=0):
    rng = np.random.default_rng(seed)
    sigma = rng.uniform(0.05, 0.3, X.size)
    y = curve(X, 3, 0.9, 0.5) + sigma * rng.normal(size=X.size)
    y[rng.choice(X.size, outliers, replace=False)] += 4
    return y, sigma


def fitted(y, **options):
    return pb.least_squares(MODEL, {"x": X}, y, **{"start": START, **options})


def numbers(fit):
    return np.array(list(fit.params.values()))


@pytest.mark.parametrize("absolute", [False, True])
def test_sigma_gives_scipys_curve_and_covariance(absolute):
    y, sigma = noisy()
    fit = fitted(y, sigma=sigma, absolute_sigma=absolute)
    tight = dict(xtol=1e-15, ftol=1e-15, gtol=1e-15)
    theirs, covariance = curve_fit(
        curve, X, y, [1, 0.3, 0], sigma=sigma, absolute_sigma=absolute, **tight
    )
    np.testing.assert_allclose(numbers(fit), theirs, rtol=1e-6)
    np.testing.assert_allclose(fit.covariance, covariance, rtol=1e-5)
    np.testing.assert_allclose(fit.residuals, y - curve(X, *numbers(fit)))


def test_weights_are_counts():
    """A datum of weight 3 is one that was seen three times."""
    y, _ = noisy()
    weights = np.random.default_rng(1).integers(1, 4, X.size)
    fit = fitted(y, weights=weights)
    each = pb.least_squares(MODEL, {"x": np.repeat(X, weights)}, np.repeat(y, weights), start=START)
    np.testing.assert_allclose(numbers(fit), numbers(each), rtol=1e-9)
    np.testing.assert_allclose(fit.rss, each.rss)
    np.testing.assert_allclose(numbers(fitted(y, weights=2.0)), numbers(fitted(y)), rtol=1e-9)


@pytest.mark.parametrize("loss", LOSSES)
def test_loss_is_scipys(loss):
    z = np.array([0.0, 1e-12, 0.3, 1.0, 7.0, 1e9])
    y, _ = noisy(outliers=6)
    fit = fitted(y, loss=loss, loss_scale=0.2)
    theirs = by_scipy(
        lambda v: curve(X, *v) - y,
        [1, 0.3, 0],
        loss=loss,
        f_scale=0.2,
        xtol=1e-14,
        ftol=1e-14,
        gtol=1e-12,
    )
    assert fit.converged
    np.testing.assert_allclose(fit.rss, 2 * theirs.cost, rtol=1e-9)
    np.testing.assert_allclose(numbers(fit), theirs.x, rtol=1e-5)
    assert abs(fit.params["a"] - 3) < 0.3 < abs(fitted(y).params["c"] - 0.5)
    law = LOSSES[loss]
    step = 1e-6 * (1 + z)
    value = [law.share(at) * at for at in (z + step, z)]
    np.testing.assert_allclose(law.first(z), (value[0] - value[1]) / step, rtol=1e-4, atol=1e-9)
    slope = (law.first(z + step) - law.first(z)) / step
    at_kink = (z == 1) & (loss == "huber")
    np.testing.assert_allclose(law.second(z)[~at_kink], slope[~at_kink], rtol=1e-3, atol=1e-9)


def test_robust_standard_errors_are_those_of_many_samples():
    """The spread of 200 fits, within a tenth or so; those of squares would be far too large."""
    line = pb.expr("a*x + b", x="n", a="", b="")
    found, told = [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        y = 2 * X + 1 + 0.1 * rng.normal(size=X.size)
        y[rng.random(X.size) < 0.1] += rng.normal(0, 3)
        start = {"a": 1.0, "b": 0.0}
        fit = pb.least_squares(line, {"x": X}, y, start=start, loss="huber", loss_scale=0.15)
        found.append(numbers(fit))
        told.append(list(fit.standard_errors.values()))
    np.testing.assert_allclose(np.median(told, 0), np.std(found, 0), rtol=0.2)


@pytest.mark.parametrize("seed", range(12))
def test_bounds_are_kept_and_scipys_minimum_is_found(seed):
    rng = np.random.default_rng(seed)
    y, _ = noisy(seed)
    low, high = np.array([0.5, 0.1, -1.0]), np.array([4.0, 2.0, 2.0])
    for at, best in enumerate((3, 0.9, 0.5)):  # some bounds leave the free minimum outside
        if rng.random() < 0.5:
            high[at] = best - 0.2 * rng.random()
        elif rng.random() < 0.3:
            low[at] = best + 0.2 * rng.random()
    first = low + (high - low) * rng.random(3)
    bounds = {name: pair for name, *pair in zip("akc", low, high, strict=True)}
    fit = fitted(y, start=dict(zip("akc", first, strict=True)), bounds=bounds)
    tight = dict(xtol=1e-15, ftol=1e-15, gtol=1e-15)
    theirs = by_scipy(lambda v: curve(X, *v) - y, first, bounds=(low, high), **tight)
    assert fit.converged
    assert (low <= numbers(fit)).all()
    assert (numbers(fit) <= high).all()
    np.testing.assert_allclose(fit.rss, 2 * theirs.cost, rtol=1e-7)
    assert fit.rss <= 2 * theirs.cost * (1 + 1e-12)
    at_bound = (numbers(fit) == low) | (numbers(fit) == high)
    assert np.array_equal(np.isnan(list(fit.standard_errors.values())), at_bound)
    assert at_bound.any() == ("at a bound" in fit.warning or "at bounds" in fit.warning)


def test_standard_errors_beside_a_bound_are_those_with_it_fixed():
    y, _ = noisy()
    at_bound = fitted(y, bounds={"c": (0, 0.3)})
    fixed = fitted(y, start={**START, "c": 0.3}, fixed=("c",))
    assert at_bound.params["c"] == 0.3
    assert "c is at a bound" in at_bound.verdict
    assert "c = 0.3 (at a bound)" in at_bound.text()
    np.testing.assert_allclose(numbers(at_bound), numbers(fixed), rtol=1e-7)
    for name in "ak":
        np.testing.assert_allclose(
            at_bound.standard_errors[name], fixed.standard_errors[name], rtol=1e-6
        )
    assert at_bound.freedom == fixed.freedom == 38


def test_fixed_unknown_is_as_good_as_data():
    y, _ = noisy()
    fit = fitted(y, start={**START, "k": 0.8}, fixed=["k"])
    data = {"x": X, "k": 0.8}
    same = pb.least_squares(MODEL, data, y, start={"a": 1.0, "c": 0.0})
    assert list(fit.params) == ["a", "k", "c"]
    assert fit.params["k"] == 0.8
    assert fit.standard_errors == same.standard_errors
    assert "k:  0.8 (fixed)" in fit.report()


def test_fixed_bounds_and_weights_on_a_network():
    net = pb.Network(
        pb.Sequential(pb.Linear(2, 3), pb.Tanh(), pb.Linear(3, 1)), loss=pb.SquaredError()
    )
    start = net.init(seed=0)
    rng = np.random.default_rng(3)
    data, weights = rng.normal(size=(60, 2)), rng.uniform(0.5, 2, 60)
    y = net.predict(net.init(seed=4), data)[:, 0] + 0.1 * rng.normal(size=60)
    first, *others = net.parameters
    fit = pb.least_squares(
        net, data, y, start, weights=weights, fixed=[first], bounds={others[0]: (-0.5, 0.5)}
    )
    np.testing.assert_array_equal(fit.params[first], start[first])
    free, unravel = pb.ravel({name: start[name] for name in others})
    wide = pb.ravel(
        {name: np.full_like(start[name], 0.5 if name == others[0] else np.inf) for name in others}
    )[0]

    def residuals(v):
        return np.sqrt(weights) * (y - net.predict({**start, **unravel(v)}, data)[:, 0])

    theirs = by_scipy(residuals, free, bounds=(-wide, wide), xtol=1e-14, ftol=1e-14, gtol=1e-12)
    assert fit.converged
    assert fit.rss <= 2 * theirs.cost * (1 + 1e-6)
    np.testing.assert_allclose(
        fit.rss, np.sum(residuals(pb.ravel({n: fit.params[n] for n in others})[0]) ** 2)
    )


def test_a_bound_in_float32_is_no_fault():
    """What rounding hides is no fall that a step misses."""
    model = pb.Sequential(pb.Linear(2, 3), pb.Tanh(), pb.Linear(3, 1))
    net = pb.Network(model, loss=pb.SquaredError())
    data = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    start = {name: value.astype(np.float32) for name, value in net.init(seed=0).items()}
    y = net.predict(net.init(seed=3), data)[:, 0] + 0.01 * np.sin(np.arange(50))
    bounds = {"0.weight": (-5, 5)}
    fit = pb.least_squares(net, data, y.astype(np.float32), start, bounds=bounds)
    assert fit.params["0.weight"].dtype == np.float32
    assert fit.converged


def test_network_with_few_data_takes_weights():
    net = pb.Network(
        pb.Sequential(pb.Linear(2, 10), pb.Tanh(), pb.Linear(10, 1)), loss=pb.SquaredError()
    )
    rng = np.random.default_rng(2)
    data, y = rng.normal(size=(12, 2)), rng.normal(size=12)
    fit = pb.least_squares(net, data, y, net.init(seed=0), weights=rng.uniform(0.5, 2, 12))
    assert fit.rss < 1e-12


def test_several_starts_give_the_best_minimum():
    wave = pb.expr("sin(w*x)", x="n", w="")
    y = np.sin(2.3 * X)
    starts = [{"w": w} for w in (5.0, 2.0, 0.5)]
    fit = pb.least_squares(wave, {"x": X}, y, start=starts)
    assert fit.params["w"] == pytest.approx(2.3)
    assert len(fit.tries) == 3
    assert fit.tries[0] > 1 > fit.tries[1]
    assert "from 3 starts" in fit.text()
    root = pb.expr("sqrt(w*x)", x="n", w="")
    fit = pb.least_squares(root, {"x": 1 + X}, np.sqrt(1 + X), start=[{"w": -1.0}, {"w": 2.0}])
    assert fit.tries[0] == np.inf
    assert fit.params["w"] == pytest.approx(1)


REPORT = """[[Fit Statistics]]
    # fitting method   = leastsq
    # data points      = 14
    # variables        = 2
    chi-square         = 0.12455139
    reduced chi-square = 0.01037928
    Akaike info crit   = -62.1093190
    Bayesian info crit = -60.8312044
    R-squared          = 0.99998158
[[Variables]]
    b1:  238.942129 +/- 2.70700752 (1.13%) (init = 500)
    b2:  5.5016e-04 +/- 7.2669e-06 (1.32%) (init = 0.0001)
[[Correlations]] (unreported correlations are < 0.100)
    C(b1, b2) = -0.9988"""


def test_report_is_lmfits():
    """lmfit 1.3.4 on Misra1a, from which only the last digits of its errors differ."""
    problem = PROBLEMS["Misra1a"]
    data, y = problem.data
    report = pb.least_squares(problem.model, data, y, start=problem.start(1)).report()
    assert [line for line in report.split("\n") if "evals" not in line] == REPORT.split("\n")


RUNAWAYS = {
    "a line through a saturating curve": ("a*x/(k+x)", {"a": 1.0, "k": 0.5}, X + 0.05 * X**2),
    "a plateau that is reached": ("1 - exp(-k*x)", {"k": 1.0}, np.ones(X.size)),
    "a fraction of nothing": ("x/k", {"k": 1.0}, np.zeros(X.size)),
}


@pytest.mark.parametrize(("formula", "start", "y"), RUNAWAYS.values(), ids=RUNAWAYS)
def test_a_runaway_to_a_flat_place_is_called_so(formula, start, y):
    model = pb.expr(formula, x="n", **dict.fromkeys(start, ""))
    fit = pb.least_squares(model, {"x": 1 + X}, y, start=start)
    assert not fit.converged
    assert "k ran away to a flat place, where" in fit.verdict


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        (
            dict(bounds={"k": (0.5, 2)}),
            ConfigError,
            r"k starts at 0.3, outside its bounds \(0.5, 2",
        ),
        (dict(bounds={"k": (2, 0)}), ConfigError, r"the bounds of k are \(2, 0\)"),
        (dict(bounds={"q": (0, 2)}), UnknownNameError, "'q'"),
        (dict(bounds={"k": 2}), ConfigError, r"expected \(low, high\)"),
        (dict(bounds={"k": (0, "1")}), ConfigError, "expected a number"),
        (dict(bounds={"k": (0, 1)}, fixed=["k"]), ConfigError, "'k' is fixed"),
        (dict(fixed=["q"]), UnknownNameError, "'q'"),
        (dict(fixed="k"), ConfigError, r"\('k',\)"),
        (dict(fixed=["a", "k", "c"]), ConfigError, "everything is fixed"),
        (dict(weights=np.r_[np.ones(39), 0]), DataError, r"weights\[39\] is 0; expected positive"),
        (dict(sigma=-1.0), DataError, "sigma is -1"),
        (dict(sigma=np.full(40, np.nan)), DataError, r"sigma\[0\] is nan"),
        (
            dict(weights=np.ones(39)),
            ShapeError,
            r"weights has shape \(39,\); expected one for each",
        ),
        (dict(weights=1.0, sigma=1.0), ConfigError, "give one"),
        (dict(absolute_sigma=True), ConfigError, "needs sigma"),
        (dict(loss="hubert"), ConfigError, "did you mean 'huber'"),
        (dict(loss="huber", loss_scale=0), ConfigError, "loss_scale"),
        (dict(start=[]), ConfigError, "or a list"),
    ],
)
def test_bad_options(options, error, says):
    with pytest.raises(error, match=says):
        fitted(np.ones(40), **options)
