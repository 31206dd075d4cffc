"""A torch module is forecast by the weights that it has, and mended in place."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch_modules import Skip

import pullback as pb
from pullback.interop.measured import Measured, measured

ANALYTIC = ("independence", "coupled", "finite_width")


def deep(depth=15, width=48, activation=nn.ReLU, seed=0):
    """As torch initialises it."""
    torch.manual_seed(seed)
    hidden = [b for _ in range(depth) for b in (nn.Linear(width, width), activation())]
    return nn.Sequential(*hidden, nn.Linear(width, 10))


def data(samples=60, width=48):
    rng = np.random.default_rng(0)
    return rng.normal(size=(samples, width)), np.arange(samples) % 10


def test_a_module_is_forecast_as_its_scheme():
    """The measured weights say what torch's documentation does, to their sampling error."""
    module, (X, Y) = deep(), data()
    found = pb.forecast(module, X, Y, methods=ANALYTIC, loss=nn.CrossEntropyLoss())
    net, _ = pb.from_torch(module, nn.CrossEntropyLoss())
    by_law = pb.forecast(net, X, Y, methods=ANALYTIC, scheme=pb.init.torch_default())
    assert (found.verdict, found.culprit) == (by_law.verdict, by_law.culprit) == (
        "vanishing", "gain",
    )  # fmt: skip
    for one, other in zip(found.layers, by_law.layers, strict=True):
        assert one.delta_ms["coupled"] == pytest.approx(other.delta_ms["coupled"], rel=0.25)


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh])
def test_the_advice_mends_the_module(activation):
    module, (X, Y) = deep(activation=activation), data()
    first = pb.forecast(module, X, Y, methods=ANALYTIC, loss=nn.CrossEntropyLoss())
    assert first.verdict == "vanishing"
    assert first.advice.apply_(module, seed=3) is module
    net, params = pb.from_torch(module, nn.CrossEntropyLoss())
    for spec in net.specs:
        law, values = first.advice.scheme, params[spec.name].astype(float)
        if spec.kind == "weight":
            variance = law.variance(spec.n_in, spec.n_out)
            # the variance of a sample variance of normals is 2 σ⁴ / n
            assert abs(values.var() - variance) < 5 * variance * np.sqrt(2 / values.size)
            assert abs(values.mean()) < 5 * np.sqrt(variance / values.size)
        else:
            assert not values.any()
    second = pb.forecast(module, X, Y, methods=ANALYTIC, loss=nn.CrossEntropyLoss())
    assert second.verdict == "healthy"
    assert 0.3 < second.ratio < 3
    pb.assert_gradients_ok(module, X, Y, low=0.2, high=5.0, loss=nn.CrossEntropyLoss())


def test_a_healthy_module_is_left_as_it_is():
    module, (X, Y) = deep(depth=2), data()
    pb.forecast(module, X, Y, methods=ANALYTIC).advice.apply_(module)
    found = pb.forecast(module, X, Y, scheme=pb.init.he(), methods=ANALYTIC)
    found.advice.apply_(module)
    again = pb.forecast(module, X, Y, methods=ANALYTIC)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    assert again.verdict == "healthy"
    again.advice.apply_(module, seed=9)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_a_module_that_is_another_is_refused_before_anything_is_drawn():
    X, Y = data()
    advice = pb.forecast(deep(), X, Y, methods=ANALYTIC).advice
    for other, kind, words in (
        (nn.Sequential(nn.Flatten(), *deep()), pb.errors.UnknownNameError, r"module: '0\.weight'"),
        (deep(width=40), pb.errors.ShapeError, r"0\.weight has shape \(40, 40\) in the module"),
    ):
        before = {name: value.clone() for name, value in other.state_dict().items()}
        with pytest.raises(kind, match=words):
            advice.apply_(other)
        assert all(torch.equal(v, before[name]) for name, v in other.state_dict().items())


def test_tensors_and_arrays_say_the_same():
    module, (X, Y) = deep(depth=3), data()
    arrays = pb.forecast(module, X, Y, methods=ANALYTIC)
    tensors = pb.forecast(module, torch.from_numpy(X), torch.from_numpy(Y), methods=ANALYTIC)
    assert [layer.to_dict() for layer in tensors.layers] == [
        layer.to_dict() for layer in arrays.layers
    ]
    net, _ = pb.from_torch(module, nn.CrossEntropyLoss())
    of_ours = [
        pb.forecast(net, x, y, methods="coupled").ratio
        for x, y in ((X, Y), (torch.from_numpy(X), torch.from_numpy(Y)))
    ]
    assert of_ours[0] == of_ours[1]


def test_what_is_assumed_is_said():
    module, (X, Y) = deep(depth=3), data()
    found = pb.forecast(module, X, Y, methods=ANALYTIC)
    text = " ".join(str(found).split())
    assert "CrossEntropy(reduction='mean'): none is given, and Y holds class numbers" in text
    assert any("measured in the model" in each for each in found.to_dict()["assumptions"])
    values = pb.forecast(module, X, np.ones((len(X), 10)), methods=ANALYTIC)
    assert "the loss is MSELoss(reduction='mean')" in values.assumptions[0]
    given = pb.forecast(module, X, Y, pb.init.he(), ANALYTIC, loss=nn.CrossEntropyLoss())
    assert given.assumptions == ()
    net, _ = pb.from_torch(module, nn.CrossEntropyLoss())
    assert pb.forecast(net, X, Y, methods=ANALYTIC).assumptions == ()


def test_a_loss_that_is_not_clear_is_asked_for():
    X, Y = data()
    net, _ = pb.from_torch(deep(depth=1), nn.CrossEntropyLoss())
    with pytest.raises(pb.errors.ConfigError, match="but the network has one"):
        pb.forecast(net, X, Y, loss=nn.CrossEntropyLoss())
    one = nn.Sequential(nn.Linear(48, 8), nn.Tanh(), nn.Linear(8, 1))
    with pytest.raises(pb.errors.ConfigError, match="one output; give loss="):
        pb.forecast(one, X, Y % 2)
    with pytest.raises(pb.errors.ConfigError, match=r"net is 3; expected a pb\.Network"):
        pb.forecast(3, X, Y)


def test_images_are_flattened_where_the_module_does():
    module = nn.Sequential(nn.Flatten(), *deep(depth=2))
    X, Y = data()
    flat = pb.forecast(module, X, Y, methods=ANALYTIC)
    images = pb.forecast(module, X.reshape(-1, 1, 6, 8), Y, methods=ANALYTIC)
    assert images.ratio == flat.ratio


def test_skips_are_forecast_too():
    torch.manual_seed(0)
    body = nn.Sequential(nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 48))
    module = nn.Sequential(nn.Linear(48, 48), Skip(body, 0.5), nn.Linear(48, 10))
    X, Y = data()
    found = pb.forecast(module, X, Y, draws=200)
    assert [layer.name for layer in found.layers] == ["0", "1.body.0", "1.body.2", "2"]
    for layer in found.layers:
        drawn = layer.delta_ms["monte_carlo"]
        assert layer.delta_ms["coupled"] == pytest.approx(drawn, rel=0.3)


def test_each_layer_has_its_own_law():
    """Two layers of one shape; analytic and drawn numbers use the variance of each."""
    net = pb.Network(
        pb.Sequential(pb.Linear(200, 200), pb.Identity(), pb.Linear(200, 200)), pb.SquaredError()
    )
    rng = np.random.default_rng(0)
    stds = {"0": 0.02, "2": 0.3}
    params = {
        spec.name: stds[spec.name[0]] * rng.normal(size=spec.shape)
        if spec.kind == "weight" else 0.1 + np.zeros(spec.shape)
        for spec in net.specs
    }  # fmt: skip
    scheme = measured(net, params)
    for name, std in stds.items():
        law = scheme.of_layer(name)
        assert law.variance(200, 200) == pytest.approx(std**2, rel=0.05)
        assert law.mean(200, 200) == 0
        assert (law.bias_mean, law.bias_variance(200)) == (pytest.approx(0.1), 0)
    X, Y = rng.normal(size=(30, 200)), rng.normal(size=(30, 200))
    found = pb.forecast(net, X, Y, scheme=scheme, draws=100)
    q = np.mean(X**2) * 200 * 0.02**2 + 0.01
    for layer, expected in zip(found.layers, (q, q * 200 * 0.3**2 + 0.01), strict=True):
        assert layer.z_mean == pytest.approx(0.1)
        assert layer.q + layer.z_mean**2 == pytest.approx(expected, rel=0.1)
        assert layer.z_ms_measured == pytest.approx(expected, rel=0.1)
    drawn = net.init(seed=0, scheme=scheme)
    for name, std in stds.items():
        assert drawn[f"{name}.weight"].std() == pytest.approx(std, rel=0.05)
    with pytest.raises(pb.errors.NotApplicableError):
        scheme.variance(200, 200)
    with pytest.raises(pb.errors.UnknownNameError):
        scheme.of_layer("1")


def test_means_that_are_not_chance_are_kept():
    net = pb.Network(pb.Sequential(pb.Linear(50, 40)), pb.SquaredError())
    centred = net.init(seed=0, scheme=pb.init.lecun())
    shifted = {name: value + 0.05 for name, value in centred.items()}
    assert measured(net, centred).of_layer("0").mean(50, 40) == 0
    assert measured(net, shifted).of_layer("0").mean(50, 40) == pytest.approx(0.05, rel=0.1)


def test_orthogonal_weights_are_known():
    net = pb.Network(pb.Sequential(pb.Linear(30, 20), pb.ReLU(), pb.Linear(20, 40)), pb.MSELoss())
    orthogonal = pb.init.orthogonal(gain=1.3)
    found = measured(net, net.init(seed=0, scheme=orthogonal, dtype=np.float32))
    for name, shape in (("0", (30, 20)), ("2", (20, 40))):
        assert found.of_layer(name).entries == "orthogonal"
        assert found.of_layer(name).variance(*shape) == pytest.approx(orthogonal.variance(*shape))
    normal = measured(net, net.init(seed=0, scheme=pb.init.lecun()))
    assert isinstance(normal, Measured)
    assert normal.of_layer("0").entries == "normal"


@pytest.mark.parametrize(
    ("library", "extra", "use"),
    [
        ("torch", "torch", lambda net: pb.to_torch(net, net.init())),
        ("torch", "torch", lambda net: pb.from_torch(net, pb.MSELoss())),
        ("jax", "jax", pb.to_jax),
        ("onnx", "onnx", lambda net: pb.to_onnx(net, net.init())),
        ("onnx", "onnx", lambda net: pb.from_onnx(b"", pb.MSELoss())),
    ],
)
def test_a_missing_library_is_named(monkeypatch, library, extra, use):
    net = pb.Network(pb.Sequential(pb.Linear(2, 2)), pb.MSELoss())
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(pb.errors.ConfigError, match=rf"pip install 'pullback\[{extra}\]'"):
        use(net)


def test_the_libraries_load_when_they_are_used():
    code = (
        "import sys, pullback as pb\n"
        "pb.from_torch, pb.to_torch, pb.to_jax, pb.from_onnx, pb.to_onnx, pb.forecast\n"
        "print(*[name for name in ('torch', 'jax', 'onnx') if name in sys.modules])"
    )
    root = Path(pb.__file__).resolve().parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
