"""The public names and their signatures are those of the last snapshot, or the change is meant.

``python tests/api_test.py`` writes the snapshot anew; what was taken away or renamed there belongs
into the changelog.
"""

import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pullback as pb

SNAPSHOT = Path(__file__).with_name("api.txt")
ROOMS = ("optim", "init", "laws", "data")


def public() -> Iterator[str]:
    """A line for each public name: what it is, and how it is called."""
    for name in sorted(pb.__all__):
        yield from described(name, getattr(pb, name))
    for room in ROOMS:
        module = getattr(pb, room) if room != "data" else import_module("pullback.data")
        for name in sorted(getattr(module, "__all__", None) or own(module)):
            yield from described(f"{room}.{name}", getattr(module, name))


def own(module: ModuleType) -> list[str]:
    """What a module defines itself."""
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]


def described(name: str, value: object) -> Iterator[str]:
    if inspect.ismodule(value):
        yield f"{name} (module)"
    elif inspect.isclass(value):
        yield f"class {name}{parameters(value)}"
        for part in sorted(vars(value)):
            member = inspect.getattr_static(value, part)
            if part.startswith("_"):
                continue
            if isinstance(member, (classmethod, staticmethod)):
                member = member.__func__
            if inspect.isfunction(member):
                yield f"  {part}{parameters(member)}"
            elif isinstance(member, property):
                yield f"  {part}"
    elif callable(value):
        yield f"{name}{parameters(value)}"
    else:
        yield f"{name}: {type(value).__name__}"


def parameters(value: object) -> str:
    """The names of the parameters; what has a default is marked, without the value."""
    try:
        signature = inspect.signature(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return "(…)"
    shown, starred = [], False
    for each in signature.parameters.values():
        if each.kind is each.KEYWORD_ONLY and not starred:
            shown, starred = [*shown, "*"], True
        mark = {each.VAR_POSITIONAL: "*", each.VAR_KEYWORD: "**"}.get(each.kind, "")
        starred = starred or mark == "*"
        shown.append(f"{mark}{each.name}{'' if each.default is each.empty else '='}")
    return f"({', '.join(shown)})"


def test_the_public_interface_is_the_one_of_the_snapshot():
    known, found = SNAPSHOT.read_text(encoding="utf-8").splitlines(), list(public())
    gone = [line for line in known if line not in found]
    new = [line for line in found if line not in known]
    assert found == known, (
        "the public interface changed; if that is meant, run python tests/api_test.py and tell it "
        f"in CHANGELOG.md\ngone: {gone}\nnew: {new}"
    )


if __name__ == "__main__":
    SNAPSHOT.write_text("\n".join(public()) + "\n", encoding="utf-8")
