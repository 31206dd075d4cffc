"""Links of README and docs lead somewhere; names that they show exist; pictures are small."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
from rooms_test import FLOORS

import pullback as pb

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\(([^()\s]+)\)|(?:src|srcset|href)=\"([^\"]+)\"")
CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
MADE = {"tour.md", *(f"api/{stem}.md" for stem in ("networks", "training", "derive"))}


def words(path):
    return CODE.sub("", path.read_text(encoding="utf-8"))


def anchors(path):
    """The anchors of a page, as GitHub and Python-Markdown make them of ASCII headings."""
    found = re.findall(r"^#+ (.*)$", words(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    for target in (a or b for a, b in LINK.findall(words(page))):
        if re.match(r"https?:|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        found = page.parent / path if path else page
        if found.relative_to(ROOT).as_posix().removeprefix("docs/") in MADE:
            continue
        assert found.exists(), f"{page.name}: {target}"
        if anchor and found.suffix == ".md":
            assert anchor in anchors(found), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_name_of_the_face_exists(page):
    named = set(re.findall(r"\bpb\.([A-Za-z_]\w*)", page.read_text(encoding="utf-8")))
    assert named <= set(dir(pb)), sorted(named - set(dir(pb)))


def test_the_commands_that_readme_shows_exist():
    from typer.main import get_command

    from pullback.cli.app import app

    shown = re.findall(
        r"(?:^|`)pullback ([a-z][a-z-]+)", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE
    )
    assert len(shown) >= 6
    assert set(shown) <= set(get_command(app).commands)


def test_the_targets_that_readme_shows_exist():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in set(re.findall(r"make ([a-z-]+)", (ROOT / "README.md").read_text("utf-8"))):
        assert f"\n{target}:" in makefile, target


def test_readme_keeps_its_length():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 240


def test_pictures_are_small_and_all_are_shown():
    shown = "".join(page.read_text("utf-8") for page in PAGES) + (ROOT / "mkdocs.yml").read_text()
    for path in (ROOT / "docs" / "images").iterdir():
        assert path.stat().st_size < 300_000, path.name
        assert path.name in shown, f"nobody shows {path.name}"


def test_the_drawing_of_the_house_has_every_room():
    drawing = (ROOT / "docs" / "images" / "house.svg").read_text("utf-8")
    told = (ROOT / "docs" / "how-it-works.md").read_text("utf-8")
    for room in (room for floor in FLOORS for room in floor if not room.startswith("__")):
        assert f">{room}</text>" in drawing, room
        assert f"`{room}`" in told, room


def test_every_name_of_the_face_has_a_page():
    tool = runpy.run_path(str(ROOT / "tools" / "api_pages.py"))
    pages = dict(tool["pages"]())
    text = "".join(pages.values())
    for name in pb.__all__:
        assert re.search(rf"^## (pb|pullback(\.\w+)?)\.{name}$", text, re.MULTILINE), name
    assert " object at 0x" not in text
    assert "<class" not in text


def test_every_page_is_in_the_navigation():
    nav = (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:")[2]
    for page in (ROOT / "docs").rglob("*.md"):
        assert str(page.relative_to(ROOT / "docs")) in nav, page.name
