"""ONNX files of others: tied and trained tensors, names, damage. Right, or refused by name."""

import os
import re
from itertools import pairwise

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_models import W, constant, model, node, run
from zoo import close

import pullback as pb
from pullback.errors import ConfigError, ConversionError, DataError, PullbackError

B = np.linspace(-1, 1, 4, dtype=np.float32)
ONE = np.array(1.5, np.float32)
EVIL = '" + str(open("owned","w")) + "'
X = np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32)


def read(content):
    return pb.from_onnx(content, loss=pb.MSELoss())


def changed(content, change):
    """The bytes of a model after a change to its proto."""
    proto = onnx.load_model_from_string(content)
    change(proto)
    return proto.SerializeToString()


GEMM = node("Gemm", ["x", "fc.weight", "fc.bias"], ["y"], transB=1, name="g")
FC = [("fc.weight", W), ("fc.bias", B)]
PLAIN = model([GEMM], FC)


def named(weight, bias="fc.bias"):
    nodes = [node("Gemm", ["x", weight, bias], ["y"], transB=1, name="g")]
    return model(nodes, [(weight, W), (bias, B)])


def text_tensor():
    return helper.make_tensor("c", TensorProto.STRING, [1], [b"abc"])


def lying(dims, raw=b"\0" * 16, kind=TensorProto.FLOAT):
    def change(proto):
        tensor = proto.graph.initializer[0]
        tensor.ClearField("float_data")
        tensor.raw_data, tensor.data_type = raw, kind
        del tensor.dims[:]
        tensor.dims.extend(dims)

    return changed(model([node("MatMul", ["x", "W"], ["y"])], [("W", W)]), change)


def external(proto):
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"


def external_in_a_branch(proto):
    branch = helper.make_graph([node("Identity", ["W"], ["z"])], "b", [], [], [])
    tensor = branch.initializer.add()
    tensor.CopyFrom(proto.graph.initializer[0])
    proto.graph.node.append(node("If", ["x"], ["q"], then_branch=branch))
    other = proto.graph.node[-1].attribute[0].g.initializer[0]
    other.ClearField("raw_data")
    other.data_location = TensorProto.EXTERNAL


def local_function(proto):
    proto.functions.append(
        helper.make_function("custom", "F", ["a"], ["b"], [node("Relu", ["a"], ["b"])],
                             [helper.make_opsetid("", 17)])
    )  # fmt: skip
    proto.graph.node[0].CopyFrom(node("F", ["x"], ["y"], domain="custom", name="f"))


def opset(version):
    return lambda proto: setattr(proto.opset_import[0], "version", version)


def of_ints(proto):
    proto.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64


def one_axis(proto):
    del proto.graph.input[0].type.tensor_type.shape.dim[1:]


DAMAGED = {
    "external": (changed(PLAIN, external), "keeps 'fc.weight' in another file"),
    "external in a branch": (changed(PLAIN, external_in_a_branch), "keeps 'fc.weight' in another"),
    "a local function": (changed(PLAIN, local_function), "F at node 'f' is of the domain 'custom'"),
    "14 TiB": (lying([2**20, 2**21]), r"shape is \[1048576, 2097152\], and it holds 4 values"),
    "dims that overflow": (lying([2**40, 2**40, 2**40]), "is damaged: its shape"),
    "a negative axis": (lying([-1, 4]), r"shape is \[-1, 4\]"),
    "no rows": (lying([0, 2**40], b""), "no numbers"),
    "half a value": (lying([4], b"\0" * 15), "is damaged|3.75 values"),
    "an unknown dtype": (lying([4, 4], kind=97), "'W' holds 97; pullback reads|damaged"),
    "4 bits": (lying([2**30], kind=TensorProto.INT4), "'W' holds INT4; pullback reads FLOAT"),
    "text": (model([node("Add", ["x", "c"], ["y"])], [text_tensor()]), "'c' holds STRING"),
    "nan": (lying([4, 4], b"\xff" * 64), "parameter that is nan"),
    "a name twice": (
        changed(PLAIN, lambda p: p.graph.initializer.append(p.graph.initializer[0])),
        "two tensors of the model are called 'fc.weight'"),
    "a value twice": (
        changed(PLAIN, lambda p: p.graph.node.append(p.graph.node[0])), "damaged|a second time"),
    "a cycle": (
        changed(PLAIN, lambda p: p.graph.node.insert(0, node("Relu", ["y"], ["q"]))), "damaged"),
    "a missing tensor": (
        changed(PLAIN, lambda p: p.graph.initializer.pop(0)), "damaged|2 inputs|no node before it"),
    "no input": (changed(PLAIN, lambda p: p.graph.input.pop(0)), "damaged|0 inputs"),
    "no output": (changed(PLAIN, lambda p: p.graph.output.pop(0)), "damaged|0 outputs"),
    "no nodes": (changed(PLAIN, lambda p: p.graph.node.pop(0)), "damaged|does not depend"),
    "an opset of the future": (changed(PLAIN, opset(99)), "is of opset 99; expected 7 to"),
    "an opset of the past": (changed(PLAIN, opset(6)), "is of opset 6; expected 7 to"),
    "an opset below 0": (changed(PLAIN, opset(-3)), "is of opset -3"),
    "input of whole numbers": (
        changed(PLAIN, of_ints), "calculates with 'x', which holds whole numbers",
    ),
    "one axis": (changed(PLAIN, one_axis), r"'x' has 1 axes; expected \(batch, features\)"),
    "the mask of Dropout": (
        model([node("Dropout", ["x"], ["h", "mask"]), node("Gemm", ["h", "W", "mask"], ["y"])],
              [("W", W)]), "reads 'mask', which no node before it computes"),
    "an attribute of old": (
        changed(PLAIN, lambda p: p.graph.node[0].attribute.append(
            helper.make_attribute("broadcast", 1))), "broadcast"),
    "three axes": (
        model([node("MatMul", ["x", "W"], ["h"]), node("Add", ["h", "c"], ["y"], name="a"),
               constant("d", np.ones(1, np.float32))], [("W", W), ("c", ONE.reshape(1, 1, 1))]),
        "no batch in front"),
    "a constant of three axes": (
        model([constant("c", ONE.reshape(1, 1, 1)), node("MatMul", ["x", "W"], ["h"]),
               node("Add", ["h", "c"], ["y"])], [("W", W)]), "no batch in front"),
    "a trained bound": (
        model([node("Clip", ["x", "c"], ["y"])], [("c", ONE)]), "which training would change"),
    "zero as a size": (
        model([node("Reshape", ["x", "s"], ["y"], allowzero=1)], [("s", np.array([0, 4]))]),
        "it makes the shape"),
    "a scalar of nan": (
        model([constant("c", np.array(np.nan, np.float32)), node("Mul", ["x", "c"], ["y"])], []),
        "nan stands where a finite number"),
}  # fmt: skip

NAMES = {
    "code": (named(f"{EVIL}.weight", f"{EVIL}.bias"), r"has parameters called '\" \+ str"),
    "code, by place": (
        model([node("MatMul", ["x", EVIL], ["y"])], [(EVIL, W)]), "has parameters called"),
    "a bias": (named("fc.weight", EVIL), "has parameters called"),
    "a line break": (named("a\nimport os.weight"), r"called 'a\\nimport os\.weight'"),
    "an escape": (named("\x1b[31ma.weight"), r"called '\\x1b\[31ma"),
    "three quotes": (named('"""a.weight'), "has parameters called"),
    "backslash": (named("a\\.weight"), "has parameters called"),
    "from right to left": (named("a\u202eb.weight"), r"called 'a\\u202eb"),
    "long": (named("a" * 1000 + ".weight"), "at most 300"),
    "of an operator": (
        changed(PLAIN, lambda p: setattr(p.graph.node[0], "op_type", "\x1b[31m" + EVIL)),
        "damaged"),
}  # fmt: skip


@pytest.mark.parametrize("name", [*DAMAGED, *NAMES])
def test_what_is_not_sure_is_refused_by_name(name, tmp_path, monkeypatch):
    content, words = {**DAMAGED, **NAMES}[name]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PullbackError) as caught:
        read(content)
    assert re.search(words, str(caught.value)), caught.value
    assert str(caught.value).replace("\n", "").isprintable()
    assert len(str(caught.value)) < 1000
    assert os.listdir() == []


def test_dead_nodes_are_not_read():
    """Nor run: this one would loop over ten million million rounds."""
    dead = [node("CumSum", ["x", "k"], ["q"]), node("MatMul", ["x", "fc.weight"], ["r"])]
    content = model([GEMM, *dead], [*FC, ("k", np.array(1))])
    net, params = read(content)
    close(net.predict(params, X), run(content, X), np.float32)


def test_constants_stay_constants():
    nodes = [constant("c", ONE), node("MatMul", ["x", "W"], ["h"]), node("Mul", ["h", "c"], ["y"])]
    net, params = read(model(nodes, [("W", W)]))
    assert list(params) == ["0.weight"]
    assert "3*x/2" in repr(net)


def test_parameters_are_the_files_tensors():
    _, params = read(PLAIN)
    assert np.array_equal(params["fc.weight"], W)
    assert np.array_equal(params["fc.bias"], B)


def doubling(times):
    """x = (x + x) σ(x + x), again and again."""
    nodes, x = [], "h"
    for at in range(times):
        nodes += [
            node("Add", [x, x], [f"a{at}"]),
            node("Sigmoid", [f"a{at}"], [f"s{at}"]),
            node("Mul", [f"a{at}", f"s{at}"], [f"x{at}"]),
        ]
        x = f"x{at}"
    return model(
        [node("MatMul", ["x", "W"], ["h"]), *nodes, node("Identity", [x], ["y"])], [("W", W)]
    )


@pytest.mark.parametrize("times", [1, 25, 100])
def test_shared_values_are_read_once(times):
    content = doubling(times)
    net, params = read(content)
    # the values shrink to nothing: compare where they are still numbers
    close(net.predict(params, 40 * X), run(content, 40 * X), np.float32)


def fibonacci(times):
    """Each value is the sum of the two before it."""
    nodes = [node("Tanh", ["x"], ["v0"]), node("Relu", ["x"], ["v1"])]
    nodes += [node("Add", [f"v{n - 1}", f"v{n - 2}"], [f"v{n}"]) for n in range(2, times)]
    return model([*nodes, node("Identity", [f"v{times - 1}"], ["y"])], [])


def ladder(times):
    """Two lanes that read each other: a function of one value, of endless length."""
    nodes = [node("Tanh", ["x"], ["a0"]), node("Relu", ["x"], ["b0"])]
    for n in range(1, times):
        nodes += [
            node("Mul", [f"a{n - 1}", f"b{n - 1}"], [f"p{n}"]), node("Sin", [f"p{n}"], [f"a{n}"]),
            node("Sub", [f"a{n - 1}", f"b{n - 1}"], [f"q{n}"]), node("Cos", [f"q{n}"], [f"b{n}"]),
        ]  # fmt: skip
    return model([*nodes, node("Add", [f"a{times - 1}", f"b{times - 1}"], ["y"])], [])


def nested(times):
    """x + tanh(x + tanh(x + …)), skips within skips."""
    nodes, skips = [], []
    value = "x"
    for n in range(times):
        nodes.append(node("Tanh", [value], [f"t{n}"]))
        skips.append(value)
        value = f"t{n}"
    for n, skip in enumerate(reversed(skips)):
        nodes.append(node("Add", [skip, value], [f"s{n}"]))
        value = f"s{n}"
    return model([*nodes, node("Identity", [value], ["y"])], [])


@pytest.mark.parametrize("make", [fibonacci, ladder, nested])
@pytest.mark.parametrize("times", [3, 30, 400, 2000])
def test_graphs_that_share_much_come_to_an_end(make, times):
    content = make(times)
    try:
        net, params = read(content)
    except PullbackError:
        assert times > 3
    else:
        ours, theirs = net.predict(params, X), run(content, X)
        # each of the operators rounds to float32
        assert np.abs(ours - theirs).max() <= 1e-7 * max(times, 100) * np.abs(theirs).max()


@pytest.mark.parametrize("kind", ["Relu", "Tanh"])
def test_a_long_chain(kind):
    """10,000 nodes are refused by their number, 150 are read."""
    for times in (150, 10_000):
        names = ["x", *(f"v{n}" for n in range(times - 1)), "y"]
        nodes = [node(kind, [a], [b]) for a, b in pairwise(names)]
        content = model(nodes, [])
        if times == 150:
            net, params = read(content)
            close(net.predict(params, X), run(content, X), np.float32)
        else:
            with pytest.raises(ConversionError, match="has 10000 nodes; the limit is"):
                read(content)


def test_what_is_no_file(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for source in (fifo, tmp_path, tmp_path / "none", "/dev/null", "a\0b"):
        with pytest.raises(DataError):
            read(source)
    for source in (3, None, ["a"]):
        with pytest.raises(ConfigError, match="source is"):
            read(source)


def test_every_operator_of_the_tables_runs_in_onnx():
    """What is compared with onnx's evaluator has to be known to it."""
    for kind in ("Mish", "HardSwish", "Celu", "Softsign", "HardSigmoid", "Elu", "Selu", "Gelu"):
        nodes = [node("MatMul", ["x", "W"], ["h"]), node(kind, ["h"], ["y"])]
        read(model(nodes, [("W", W)], opset=20))


def test_pullbacks_own_numbers_are_constants():
    net = pb.Network(pb.Sequential(pb.Linear(4, 3), pb.Activation("1.5*tanh(x)")), pb.MSELoss())
    proto = onnx.load_model_from_string(pb.to_onnx(net, net.init(seed=0)))
    assert [t.name for t in proto.graph.initializer] == ["0.weight", "0.bias"]
    assert [numpy_helper.to_array(n.attribute[0].t) for n in proto.graph.node if
            n.op_type == "Constant"] == [1.5]  # fmt: skip
