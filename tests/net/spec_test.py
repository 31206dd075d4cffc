"""Networks from text: widths, TOML files, names in Python files."""

import numpy as np
import pytest

import pullback as pb
from pullback.errors import PullbackError
from pullback.net.recipe import from_file, from_layers, loss_named, scheme_named

BLOCKS = """
blocks = [
  { linear = [4, 3] },
  "tanh",
  { residual = [{ linear = [3, 3] }, { name = "leaky_relu", slope = 0.1 }], scale = 0.5 },
  { linear = [3, 2], bias = false },
]
loss = { name = "cross_entropy", reduction = "sum" }
init = { name = "normal", std = 1 }
l2 = 1e-4
"""


def toml(folder, text):
    path = folder / "net.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def test_layers_have_an_activation_between_each_two():
    recipe = from_layers("4,3,2", "relu")
    assert recipe.model == pb.Sequential(pb.Linear(4, 3), pb.ReLU(), pb.Linear(3, 2))
    assert recipe.scheme == pb.init.he()
    assert from_layers("4,3,2", "tanh").scheme == pb.init.glorot()


def test_toml_with_widths(tmp_path):
    text = 'layers = [4, 3, 2]\nactivation = "1.7159*tanh(2*x/3)"\nloss = "mse"'
    net = from_file(toml(tmp_path, text)).network(pb.SquaredError())
    assert net.model.blocks[1] == pb.Activation("1.7159*tanh(2*x/3)")
    assert net.criterion == pb.MSELoss()


def test_toml_with_blocks(tmp_path):
    recipe = from_file(toml(tmp_path, BLOCKS))
    inner = pb.Sequential(pb.Linear(3, 3), pb.LeakyReLU(0.1))
    assert recipe.model == pb.Sequential(
        pb.Linear(4, 3), pb.Tanh(), pb.Residual(inner, 0.5), pb.Linear(3, 2, bias=False)
    )
    assert (recipe.loss, recipe.l2) == (pb.CrossEntropy("sum"), 1e-4)
    assert recipe.scheme == pb.init.normal(std=1.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("layers = [4, 3]\nactivaton = 'relu'", "did you mean 'activation'"),
        ("layers = [4, 3]\nactivation = 'tahn'", "did you mean 'tanh'"),
        ("layers = [4, 3]\nloss = 'cross_entrop'", "did you mean 'cross_entropy'"),
        ("layers = [4, 3]\ninit = 'glorott'", "did you mean 'glorot'"),
        ("layers = [4]", "two widths or more"),
        ("layers = [4, 'a']", "expected widths such as"),
        ("layers = [4, 0]", "expected widths such as"),
        ("layers = [4, 3]\nl2 = 'much'", "expected a number"),
        ("l2 = 0.1", "needs either layers"),
        ("layers = [4, 3]\nblocks = ['tanh']", "needs either layers"),
        ("blocks = ['tanh']\nactivation = 'tanh'", "activation goes with layers"),
        ("blocks = []", "expected a list of blocks"),
        ("blocks = [{linear = [3]}]", r"blocks\[0\]: linear is \[3\]"),
        ("blocks = [{linear = [3, 4], bais = true}]", "did you mean 'bias'"),
        ("blocks = [{linear = [3, 4], bias = 1}]", "bias is 1; expected one such as True"),
        ("blocks = [{residual = [3]}]", r"blocks\[0\]\.residual\[0\] is 3"),
        ("blocks = [{linear = [3, 4]}, {linear = [3, 4]}]", "takes 3 features"),
        ("loss = {reduction = 'sum'}\nlayers = [2, 2]", "a table with a name"),
        ("layers =", "is not a TOML file"),
        (f"blocks = {'[' * 10_000}{']' * 10_000}", "is not a TOML file: brackets in brackets"),
        (f"blocks = {'[{residual=' * 30}['tanh']{'}]' * 30}", "more than 20 deep"),
        (f"{'.'.join('a' * 10_000)} = 1", "unknown key"),
        (f"layers = [4, 0x{'f' * 20_000}]", "expected widths such as"),
        ("layers = [4, 999999999999999999999999]", "expected widths such as"),
        ("layers = [100_000_000, 100_000_000]", "GiB of memory"),
        ("blocks = [{linear = [100_000_000, 100_000_000]}]", "GiB of memory"),
        (f"layers = [{','.join(['4'] * 20_000)}]", "20,000 widths; expected at most 10,000"),
        (f"blocks = [{','.join(['0'] * 20_000)}]", "20,000 blocks; expected at most 10,000"),
        ("layers = [true, 3]", "expected widths such as"),
        ("layers = [4, 2.5]", "expected widths such as"),
        ("layers = 2020-01-31", "expected widths such as"),
        ("blocks = [{linear = [true, 3]}]", "a width is True"),
        ("blocks = [{linear = [4, 3], residual = ['tanh']}]", "linear and residual; expected one"),
        ("blocks = [{name = 'relu', linear = [4, 3]}]", "name and linear; expected one"),
        ("layers = [4, 3]\nactivation = {name = 'relu', linear = [4, 3]}", "unknown option"),
        ("layers = [4, 3]\nl2 = nan", "l2 is nan; expected a number"),
        ("layers = [4, 3]\nl2 = inf", "l2 is inf; expected a number"),
        ("layers = [4, 3]\nl2 = true", "l2 is True; expected a number"),
        ("layers = [4, 3]\nl2 = -1", "l2 is -1.0; expected a number from 0"),
        (f"layers = [4, 3]\nl2 = 1{'0' * 400}", "more digits than a number holds"),
        (f"layers = [4, 3]\nl2 = 0x{'f' * 20_000}", "more digits than a number holds"),
        (
            "layers = [4, 3]\ninit = {name = 'normal', std = 1e308}",
            "std is 1e.308; expected at most",
        ),
        ("layers = [4, 3]\ninit = {name = 'normal', mean = -1e308}", "expected at most"),
        ("layers = [4, 3]\ninit = {name = 'normal', bias_std = 1e200}", "expected at most"),
        ("layers = [4, 3]\ninit = {name = 'glorot', gain = 1e308}", "expected at most"),
        ("layers = [4, 3]\ninit = {name = 'uniform', bound = 1e308}", "expected at most"),
        ("layers = [4, 3]\ninit = {name = 'normal', std = nan}", "expected a number"),
        ("layers = [4, 3]\nactivation = {name = 'leakyrelu', slope = inf}", "expected a number"),
        (b"\xff\xfe", "is not a TOML file"),
        (b"layers = [4, 3]\n# \xe9", "is not a TOML file"),
        (b"layers = [4, 3]\n#" + b" " * 2**20, "too large for a network"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_toml_that_does_not_fit(tmp_path, text, said):
    with pytest.raises(PullbackError, match=said) as caught:
        from_file(toml(tmp_path, text)).network(pb.SquaredError())
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 20_000


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/stdin", "."])
def test_what_is_no_file_is_not_opened(tmp_path, path):
    (tmp_path / "net.toml").symlink_to(path)
    with pytest.raises(PullbackError, match="expected a file"):
        from_file(str(tmp_path / "net.toml"))


def test_a_mark_at_the_beginning_is_no_content(tmp_path):
    assert from_file(toml(tmp_path, "\ufefflayers = [4, 3]")).model == pb.Sequential(
        pb.Linear(4, 3)
    )


def test_weights_that_float32_does_not_hold_are_refused():
    net = pb.Network(pb.Linear(2, 1), loss=pb.SquaredError())
    x = np.ones((3, 2), np.float32)
    with pytest.raises(PullbackError, match="too large for float32"):
        pb.fit(net, x, x[:, 0], net.init(scheme=pb.init.constant(1e100)), batch_size=None)


def test_a_name_in_a_python_file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "import pullback as pb\n"
        "model = pb.Sequential(pb.Linear(2, 2), pb.Tanh())\n"
        "net = pb.Network(model, loss=pb.SquaredError(), l2=0.5)\n"
        "number = 3\n",
        encoding="utf-8",
    )
    assert from_file(f"{path}:model").network(pb.MSELoss()).criterion == pb.MSELoss()
    net = from_file(f"{path}:net").network(pb.MSELoss())
    assert (net.criterion, net.l2) == (pb.SquaredError(), 0.5)
    with pytest.raises(PullbackError, match="did you mean 'model'"):
        from_file(f"{path}:modle")
    with pytest.raises(PullbackError, match="expected a model"):
        from_file(f"{path}:number")
    for line, fault in [("1/0", "ZeroDivisionError"), ("raise SystemExit", "SystemExit")]:
        path.write_text(line, encoding="utf-8")
        with pytest.raises(PullbackError, match=f"raised {fault}"):
            from_file(f"{path}:model")


@pytest.mark.parametrize("source", ["net.json", "nosuch.toml", "nosuch.py:net"])
def test_a_source_that_is_none(source):
    with pytest.raises(PullbackError, match=r"neither a \.toml|no file"):
        from_file(source)


def test_names_of_losses_and_initialisers_are_forgiving():
    assert loss_named("CrossEntropy") == loss_named("cross-entropy") == pb.CrossEntropy()
    assert loss_named("logistic") == pb.LogisticLoss()
    assert scheme_named("he") == pb.init.he()
