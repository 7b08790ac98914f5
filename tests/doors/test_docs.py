"""What the docs point at is there: files, and tests by name."""

import re
from pathlib import Path

import pytest

from hormesis.noise import CATALOGUE

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for words, link in re.findall(r"\[([^\]]+)\]\(([^)#\s]+)[^)]*\)", page.read_text()):
        if link.startswith("http"):
            continue
        target = page.parent / link
        assert target.exists(), f"{words}: {link}"
        if target.name.startswith("test_"):
            assert f"def test_{words.strip('`')}(" in target.read_text(), f"{link} has no test_{words}"


def test_the_readme_lists_the_whole_catalogue():
    told = re.search(
        r"ways in which a table goes bad\n(.+?)\nEach is", (ROOT / "README.md").read_text(), re.DOTALL
    )
    names = re.findall(r"`(\w+)`", told[1])
    assert sorted(names) == sorted(CATALOGUE)
