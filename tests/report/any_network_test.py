"""A page of any network: each section applies, or says why it does not."""

import numpy as np
import pytest
from general_networks import GENERAL, IN_TRAINING, Attention, Pixels
from matrix_networks import BY_HAND, DEGENERATE

import pullback as pb
from pullback.errors import ConfigError
from pullback.ir import Scalar, symbol
from pullback.report.contents import sections
from pullback.report.drawing.network_svg import draw
from pullback.report.layers import SkipArc, layers_of, norms_of
from pullback.report.page import render
from pullback.report.sections.neurons import neurons_of
from pullback.report.sections.outcome import hardest, outcome
from pullback.report.sections.outlook import outlook
from pullback.report.sections.pace import _products
from pullback.report.sections.samples import picture_shape, rows
from pullback.report.sections.story import TrainingPlan, gather
from pullback.report.words.functions import function_name

L, S, R, A = pb.Linear, pb.Sequential, pb.Residual, pb.Activation
ALWAYS = [
    "live", "predictions", "check", "network", "derivation", "neurons", "forecast", "closed",
    "pace", "plan", "about",
]  # fmt: skip
REASON = ("not drawn: ", "There is no ", "has no equation", "is not checked: ", "in the page: ")
DIFFERENT = {  # of the networks by hand, those that are not in GENERAL
    "softmax last", "branches joined", "maxout", "temperature, an equation of its own kind",
    "unnamed alone", "batch mean", "x**0", "x**0 last",
}  # fmt: skip
OURS = [*GENERAL, *IN_TRAINING]
CASES = [
    *OURS,
    *(case for case in (*BY_HAND, *DEGENERATE) if case.name in DIFFERENT),
]


def general(name):
    return next(each for each in GENERAL if each.name == name)


def told(net, X, Y, given=None, **options):
    schedule = TrainingPlan(1, pb.optim.SGD(0.05), 2, None, 0, False)
    return gather(net, X, Y, schedule, given, 0.4, **options)


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_every_section_applies_or_says_why(case):
    X, Y = (case.X, case.Y) if case in OURS else case.data
    story = told(case.net, X, Y, case.params)
    found = list(sections(story))
    assert [each.name for each in found] == ALWAYS
    for each in found:
        assert each.verdict.endswith(".")
        assert each.items or any(words in each.verdict for words in REASON), each.verdict
    assert set(story.norms) == {layer.path for layer in story.layers}
    assert np.isfinite(list(story.norms.values())).all()


def test_targets_that_are_left_out_are_not_compared():
    case = general("classes left out")
    with pytest.raises(pb.errors.NotApplicableError, match="by ignore_index=-100"):
        outcome(case.net, case.params, case.X, np.full(len(case.X), -100))


@pytest.mark.parametrize("name", ["classes of tokens", "gated"])
def test_what_is_trained_is_watched(name):
    case = general(name)
    story = told(case.net, case.X, case.Y)
    assert {"training", "flow"} <= {each.name for each in sections(story)}
    assert render(story, "Any").count("<svg") >= 2


@pytest.mark.parametrize(
    ("block", "name"),
    [
        (pb.LeakyReLU(0.3), "LeakyReLU"),
        (pb.ELU(0.5), "ELU"),
        (A("tanh(h)"), "Tanh"),
        (A("h**3/2"), "x**3/2"),
        (S(pb.Tanh(), pb.Sin()), "sin(tanh(x))"),
        (R(pb.Tanh()), "x + tanh(x)"),
        (S(pb.LayerNorm(3), pb.Tanh()), "Tanh"),
        (pb.LayerNorm(3), "norm"),
    ],
)
def test_an_activation_has_the_name_of_its_function(block, name):
    layers = layers_of(pb.Network(S(L(3, 3), block, L(3, 2)), loss=pb.SquaredError()))
    assert [layer.activation for layer in layers] == [name, ""]
    function = layers.layers[0].function
    assert (function is None) == (name == "norm")
    assert function is None or function_name(function) == name


def test_columns_are_joined_to_those_that_they_read():
    net = pb.Network(Attention(), loss=pb.SquaredError(), x="tokens=3 features=4")
    layers = layers_of(net)
    reads = {layer.label.part: sorted(layer.reads) for layer in layers}
    assert reads == {"key": [0], "query": [0], "scores": [1, 2], "value": [0]}
    assert set(layers.skips) == {SkipArc(0, 2), SkipArc(1, 3), SkipArc(0, 4), SkipArc(3, 4)}
    svg = draw(layers, {layer.path: 1.0 for layer in layers})
    assert svg.count('class="mesh"') == 3  # x to keys, queries to scores, the output to the loss


def test_every_input_is_a_column():
    case = general("two inputs of two shapes")
    layers = layers_of(case.net)
    assert [(each.symbol, each.sizes) for each in layers.sources] == [("U", (3, 2)), ("v", (2,))]
    assert [sorted(layer.reads) for layer in layers] == [[0], [1], [3]]
    assert SkipArc(2, 3) in layers.skips  # where the two meet


def test_axes_have_the_size_that_they_have_in_the_data():
    net = pb.Network(S(L(4, 5), pb.Tanh()), loss=pb.SquaredError(), x="tokens features=4")
    assert [layer.sizes for layer in layers_of(net, np.zeros((2, 7, 4)))] == [(7, 5)]


def test_the_size_of_delta_is_that_of_all_tokens_of_a_sample():
    case = general("linear over tokens")
    trace = case.net.trace(case.params, case.X, case.Y)
    layers = layers_of(case.net, case.X)
    norms = norms_of(case.net, layers, trace, len(case.X))
    for path, delta in trace.delta.items():
        lengths = np.sum((len(case.X) * delta) ** 2, axis=(1, 2))
        assert norms[path] == pytest.approx(np.sqrt(lengths.mean()))


def test_each_token_is_classified_by_itself():
    case = general("classes of tokens")
    found = outcome(case.net, case.params, case.X, case.Y)
    said = case.net.predict(case.params, case.X).argmax(axis=-1)
    assert (found.places, len(found.wanted)) == (2, 10)
    assert found.accuracy == pytest.approx(np.mean(said == case.Y))
    assert found.said.reshape(said.shape).tolist() == said.tolist()
    sure = found.probability[np.arange(10), found.wanted].reshape(5, 2)
    assert hardest(found) == int(sure.min(axis=1).argmin())


def test_axes_called_height_and_width_make_pictures():
    net = pb.Network(S(Pixels(3)), loss=pb.CrossEntropy(), x="width=4 channels=2 height=5")
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(6, 4, 2, 5)), np.arange(6) % 3
    story = told(net, X, Y, net.init(0))
    assert story.image_shape == (5, 4)
    np.testing.assert_allclose(story.cells("x", X[1]), X[1].mean(axis=1).T)
    assert 'class="samples"' in "".join(
        item.html for section in sections(story) for item in section.items if hasattr(item, "html")
    )
    with pytest.raises(ConfigError, match=r"the axes of a sample say \(5, 4\)"):
        told(net, X, Y, net.init(0), image_shape=(4, 5))
    with pytest.raises(ConfigError, match="one input"):
        picture_shape(general("two inputs").net, {"u": X, "v": X}, (5, 4))


def test_products_are_counted_at_every_place_and_once_for_what_is_frozen():
    tokens = _products(layers_of(general("linear over tokens").net), batch=7)
    assert [each.fma for each in tokens] == [7 * 3 * n for n in (20, 20, 10, 10, 10)]
    frozen = _products(layers_of(general("frozen weight").net), batch=7)
    assert [each.what for each in frozen][:2] == ["z₁, forward", "z₂, forward"]


def test_a_small_network_has_the_functions_of_a_large_one():
    net = pb.Network(S(L(9, 9), A("h**3"), L(9, 9, bias=False), pb.Tanh()), loss=pb.SquaredError())
    shown = neurons_of(net, net.init(0), np.ones((1, 9)), np.ones((1, 9)), None, 0)
    graph = shown.neurons.graph
    assert shown.miniature.startswith("2–2–2, ")
    assert shown.activations == {1: "x**3", 2: "x**3", 3: "Tanh", 4: "Tanh"}
    for neuron in graph.neurons:
        function = A("h**3") if neuron.number < 3 else pb.Tanh()
        assert neuron.output == pytest.approx(float(function.function(neuron.d + neuron.b)))
    assert [neuron.b for neuron in graph.neurons[2:]] == [0, 0]


@pytest.mark.parametrize(
    ("blocks", "sigma_w"),
    [
        ((L(4, 8), A("2*tanh(h)"), L(8, 8), A("2*tanh(h)"), L(8, 2)), 0.5),
        ((L(4, 8), pb.Tanh(), L(8, 2), pb.ReLU(), L(2, 2)), None),
        ((L(4, 2),), None),
    ],
)
def test_the_phase_diagram_is_of_the_one_function_between_layers(blocks, sigma_w):
    net = pb.Network(S(*blocks), loss=pb.SquaredError())
    data = rows((np.ones((3, 4)), np.ones((3, 2))), slice(3))
    found = outlook(net, layers_of(net), data, pb.init.normal(std=0.5), 0)
    assert (found.phases is None) == (sigma_w is None)
    if sigma_w is not None:
        assert found.phases.data[2].x[0] == pytest.approx(sigma_w)


def test_a_function_without_a_block_has_its_formula():
    assert function_name(Scalar.of(symbol(0) ** 2 + 1, 1)) == "x**2 + 1"
    assert function_name(Scalar.of(1, 1)) == "1"
    assert function_name(pb.Identity().function) == "Identity"
