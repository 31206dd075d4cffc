"""What keeps the house general: no reader walks blocks, names are not cut, classes are unique."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import rooms_test as rooms

from pullback.ir.label import Role

PACKAGE = Path(__file__).resolve().parent.parent / "pullback"
COMPOSED = {"Sequential", "Residual", "Linear"}
CUTS = {"partition", "rpartition", "split", "rsplit"}
TESTS = {"startswith", "endswith", "removeprefix", "removesuffix"}
ROLES = get_args(Role)
AT_DOTS = {
    "ir/label.py": "a key of a state dict becomes a label, here and nowhere else",
    "doctor/source.py": "the way to a part of a module, a step at a time as the code names it",
    "errors.py": "modules of Python",
    "interop/torch/ops.py": "modules of Python",
    "report/words/numbers.py": "the digits behind a decimal point",
}


def trees() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield str(path.relative_to(PACKAGE)), ast.parse(path.read_text(encoding="utf-8"))


def names(node: ast.AST) -> set[str]:
    """The names in an expression; what stands behind ``nn`` is torch's."""
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} | {
        n.attr
        for n in ast.walk(node)
        if isinstance(n, ast.Attribute) and not ast.unparse(n.value).endswith("nn")
    }


def asked_for(node: ast.AST) -> set[str]:
    """The classes that a node tells things apart by."""
    match node:
        case ast.MatchClass(cls=cls):
            return names(cls)
        case ast.Call(func=ast.Name(id="isinstance"), args=[_, kinds]):
            return names(kinds)
        case ast.Compare(ops=[ast.Is() | ast.IsNot() | ast.Eq() | ast.NotEq()], left=left):
            sides = [left, *node.comparators]
            return set().union(*map(names, sides)) if any(map(is_type_of, sides)) else set()
    return set()


def is_type_of(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and "type" in names(node.func)


def test_no_reader_walks_blocks():
    """A composition is read off the graph; only `nn` knows how it was put together."""
    found = [
        f"{file}:{node.lineno}: {', '.join(walked)}"
        for file, tree in trees()
        if not file.startswith("nn/")
        for node in ast.walk(tree)
        if (walked := asked_for(node) & COMPOSED)
    ]
    assert not found, "\n".join(found)


def test_public_classes_have_names_of_their_own():
    homes: dict[str, list[str]] = defaultdict(list)
    for file, tree in trees():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(file)
    # a constant node, a constant initialiser and a constant rate are what people ask for by name,
    # and so are the block Softmax and the form of its equation
    shared = {n: files for n, files in homes.items() if len(files) > 1}
    shared = {n: files for n, files in shared.items() if n not in ("Constant", "Softmax")}
    assert not shared, shared


def test_the_scan_finds_a_walker():
    planted = ast.parse("match block:\n    case pb.Linear():\n        isinstance(block, Residual)")
    assert set().union(*map(asked_for, ast.walk(planted))) == {"Linear", "Residual", "pb"}


def cuts_at_dots(tree: ast.AST) -> bool:
    """Does code cut text at dots, or ask whether it begins with a role and a dot?"""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr=attr), args=[ast.Constant(value="."), *_]):
                if attr in CUTS:
                    return True
            case ast.Call(func=ast.Attribute(attr=attr), args=[ast.Constant(value=str(text)), *_]):
                if attr in TESTS and text.endswith(".") and text[:-1] in ROLES:
                    return True
    return False


def test_names_are_held_and_not_cut():
    """A label, a parameter and an equation say their path, part and role; so do torch's modules."""
    found = {file for file, tree in trees() if cuts_at_dots(tree)}
    assert found == set(AT_DOTS), f"{sorted(found ^ set(AT_DOTS))}: say what for, or ask the label"


def test_the_scan_finds_a_cut():
    for cut in ('name.rpartition(".")', "at = key.split('.', 1)[0]", 'key.startswith("delta.")'):
        assert cuts_at_dots(ast.parse(cut))
    for text in ('a.split(", ")', "a.split()", 'file.endswith(".py")', '".".join(a)'):
        assert not cuts_at_dots(ast.parse(text))


def imported() -> dict[str, set[str]]:
    """The modules that each module imports; faces of packages only pass names on."""
    modules = {rooms.module_of(p, PACKAGE): p for p in PACKAGE.rglob("*.py")}
    inner = {name: path for name, path in modules.items() if path.name != "__init__.py"}
    found: dict[str, set[str]] = {name: set() for name in inner}
    for name, path in inner.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                base = rooms.absolute(node.module or "", node.level, path, PACKAGE)
                found[name] |= {base, *(f"{base}.{alias.name}" for alias in node.names)} & {*inner}
    return found


def test_imports_run_in_no_circle_but_a_record_and_its_printer():
    found = imported()
    reached = {name: set(targets) for name, targets in found.items()}
    for middle in found:
        for name in found:
            if middle in reached[name]:
                reached[name] |= reached[middle]
    circles = {
        frozenset(o for o in reached[n] if n in reached[o]) for n in found if n in reached[n]
    }
    answer = "pullback.moments.answer"
    assert circles <= {frozenset(f"{answer}.{n}" for n in ("forecast", "sentence", "text"))}, (
        circles
    )


def test_files_of_tests_have_names_of_their_own():
    """pytest imports them by name alone."""
    found = defaultdict(list)
    for path in Path(__file__).parent.rglob("*.py"):
        found[path.stem].append(path)
    assert not [paths for stem, paths in found.items() if len(paths) > 1 and stem != "conftest"]
