"""Packages whose names load late: the right thing is found, and nothing heavy loads before."""

import subprocess
import sys
from importlib import import_module

import pytest

from pullback import calculus, diagram, emit, ir
from pullback.derive import neurons
from pullback.emit import recompute, target
from pullback.lazy import lazy

PACKAGES = (
    ir,
    calculus,
    emit,
    recompute,
    diagram,
    target,
    neurons,
    import_module("pullback.derive"),
)


def fresh(code):
    """What a new process prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package with a function ``cut`` in a module ``cut``, and a module ``other``."""
    folder = tmp_path / "kitchen"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from pullback.lazy import lazy\n"
        "lazy(__name__, {'cut': 'kitchen.cut', 'other': 'kitchen', 'gone': 'kitchen.cut'})\n"
    )
    (folder / "cut.py").write_text("def cut(): return 'slice'\n")
    (folder / "other.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "kitchen"]:
        del sys.modules[name]


def test_a_name_is_found_in_its_home(package):
    import kitchen

    assert "kitchen.cut" not in sys.modules
    assert kitchen.cut() == "slice"
    assert kitchen.other.x == 1
    assert {"cut", "other"} <= set(dir(kitchen))


def test_a_module_does_not_hide_the_function_of_its_name(package):
    import kitchen.cut
    from kitchen.cut import cut

    assert kitchen.cut is cut
    assert kitchen.cut() == "slice"


def test_a_name_that_nobody_has_is_an_attribute_error(package):
    import kitchen

    with pytest.raises(AttributeError, match=r"'kitchen' has no attribute 'spoon'"):
        _ = kitchen.spoon
    assert not hasattr(kitchen, "spoon")


@pytest.mark.parametrize("room", PACKAGES, ids=lambda room: room.__name__)
def test_every_public_name_of_a_lazy_room_is_there(room):
    assert {*room.__all__} <= {*dir(room)}
    for name in room.__all__:
        assert getattr(room, name) is not None


@pytest.mark.parametrize("room", PACKAGES, ids=lambda room: room.__name__)
def test_a_lazy_room_loads_nothing_heavy(room):
    code = f"import sys, {room.__name__}; print('sympy' in sys.modules)"
    assert fresh(code) == ["False"]


def test_lazy_is_what_the_rooms_use():
    assert {type(room).__module__ for room in PACKAGES} == {lazy.__module__}


@pytest.mark.parametrize("text", ["sum((X*w-y).^2)", "sum((X@w-y)**2)"])
def test_an_expression_is_derived_without_networks_emitters_and_diagrams(text):
    code = f"""
import sys
from pullback.cli import main
try:
    main(["derive", "--wrt", "w", {text!r}])
except SystemExit as left:
    assert left.code == 0
late = ("nn", "interop", "train", "net.network", "derive.front", "derive.of_network",
        "derive.expectation", "derive.neurons.table", "diagram.diagram", "emit.target.numpy",
        "emit.lower")
print("LOADED", *[name for name in late if f"pullback.{{name}}" in sys.modules])
print(*{{"pydantic", "rich", "scipy", "llvmlite", "pullback.cli.train"}} & {{*sys.modules}})
"""
    found = fresh(code)
    assert found[found.index("LOADED") :] == ["LOADED"]
    assert "complex" in found
