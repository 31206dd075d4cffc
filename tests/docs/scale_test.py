"""The files to copy stand in the page as they are in the folder of examples."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["digits.slurm", "digits.yaml"])
def test_the_page_shows_the_file(name):
    page = (ROOT / "docs" / "scale.md").read_text("utf-8")
    assert f"\n{(ROOT / 'examples' / name).read_text('utf-8')}```\n" in page
    assert "digits.py" in page
