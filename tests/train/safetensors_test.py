"""Parameters in safetensors are read as they are meant, or refused with the reason."""

import json
import os
import struct

import numpy as np
import pytest

import pullback as pb
from pullback.errors import ConfigError, DataError, DTypeError
from pullback.train.checkpoint import load, save

NUMBERS = np.array([[1.0, -2.5, 0.0], [3.0, 2.0**-20, 65504.0]], np.float32)
UPPER = (NUMBERS.view(np.uint32) >> 16).astype("<u2")  # bfloat16 is the upper half of float32


def written(path, kind, data, shape, metadata=None, text=None):
    """A file as another program writes it."""
    header = {"w": {"dtype": kind, "shape": shape, "data_offsets": [0, len(data)]}}
    header |= {} if metadata is None else {"__metadata__": metadata}
    text = json.dumps(header).encode() if text is None else text
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.safetensors"


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        ("F32", NUMBERS.tobytes(), NUMBERS),
        ("F64", NUMBERS.astype("<f8").tobytes(), NUMBERS.astype(np.float64)),
        ("F16", NUMBERS.astype("<f2").tobytes(), NUMBERS.astype("<f2").astype(np.float32)),
        ("BF16", UPPER.tobytes(), (UPPER.astype(np.uint32) << 16).view(np.float32)),
    ],
)
def test_half_precision_becomes_single(path, kind, data, expected):
    arrays, facts = load(written(path, kind, data, [2, 3]))
    assert facts == {}
    assert arrays["w"].dtype == expected.dtype
    np.testing.assert_array_equal(arrays["w"], expected)
    arrays["w"][0] = 7  # it is the caller's to change


def test_what_torch_saves_in_half_precision_trains_here(path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    module = torch.nn.Linear(3, 2).to(torch.bfloat16)
    save_file(module.state_dict(), path)
    params, _ = load(path)
    for name, value in module.state_dict().items():
        np.testing.assert_array_equal(params[name], value.float().numpy())
    net = pb.Network(pb.Linear(3, 2), pb.SquaredError())
    assert net.predict(params, NUMBERS).dtype == np.float32


@pytest.mark.parametrize(
    ("kind", "size"),
    [("F8_E4M3", 1), ("F8_E5M2", 1), ("C64", 8), ("I64", 8), ("I8", 1), ("U16", 2), ("BOOL", 1)],
)
def test_other_kinds_of_number_are_named(path, kind, size):
    written(path, kind, bytes(6 * size), [2, 3])
    with pytest.raises(DTypeError, match=f"'w' is of kind {kind}; expected one of F64, F32, F16"):
        load(path)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"[" * 100_000,
        b'{"w": ' * 500,
        b'{"w": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}',
        b'{"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}',
        b'{"w": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}',
        b'{"w": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}',
        b'{"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 99]}}',
        b'{"w": {"dtype": "F32", "shape": [4611686018427387904, 4], "data_offsets": [0, 4]}}',
        b'{"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},'
        b' "w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}',
        b'{"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "__metadata__": {"a": 1}}',
    ],
)
def test_a_header_that_lies_is_refused(path, text):
    with pytest.raises(DataError, match="is damaged"):
        load(written(path, "", bytes(4), [], text=text))


@pytest.mark.parametrize("facts", ["[]", "3", '"x"', "{", "[" * 100_000])
def test_facts_that_are_none_are_refused(path, facts):
    from pullback.train.checkpoint import _digest

    digest = _digest({"w": NUMBERS}, facts)
    metadata = {"pullback": facts, "pullback.digest": digest}
    with pytest.raises(DataError):
        load(written(path, "F32", NUMBERS.tobytes(), [2, 3], metadata))


@pytest.mark.parametrize("length", [0, 1, 7, 2**31, 2**63, 2**64 - 1])
def test_a_length_that_lies_is_refused(path, length):
    path.write_bytes(struct.pack("<Q", length) + b"{}")
    with pytest.raises(DataError, match="is damaged"):
        load(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for place, told in (
        (tmp_path / "pipe", "not a regular file"),
        (tmp_path, "not a regular file"),
        (tmp_path / "no", "there is no file"),
        ("a\0b", "cannot be opened|there is no file"),
    ):
        with pytest.raises(DataError, match=told):
            load(place)


@pytest.mark.parametrize(
    "value",
    [np.float64(3), np.array(3.0), np.zeros((0, 2)), np.ones((2, 3)).T, np.ones(3, ">f4"), [1.0]],
)
def test_any_array_of_floats_comes_back(path, value):
    arrays, _ = load(save(path, {"w": value}))
    np.testing.assert_array_equal(arrays["w"], value)
    assert arrays["w"].shape == np.shape(value)


@pytest.mark.parametrize(
    ("params", "facts", "kind"),
    [
        ({"w": np.ones(2, np.int64)}, {}, DTypeError),
        ({"w": np.array(["x"])}, {}, DTypeError),
        ({"w": np.array([None])}, {}, DTypeError),
        ({"w": np.ones(2, np.complex128)}, {}, DTypeError),
        ({3: np.ones(2)}, {}, ConfigError),
        ({"\ud800": np.ones(2)}, {}, ConfigError),
        ({"__metadata__": np.ones(2)}, {}, ConfigError),
        ({"w": np.ones(2)}, {"fact": object()}, ConfigError),
        ({"w": np.ones(2)}, {"fact": {1, 2}}, ConfigError),
    ],
)
def test_what_could_not_be_read_again_is_not_written(path, params, facts, kind):
    path.write_bytes(b"old")
    with pytest.raises(kind):
        save(path, params, **facts)
    assert path.read_bytes() == b"old"
