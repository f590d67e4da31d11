"""The house rules that no linter knows."""

import ast
import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gateway.upstream.presets import PRESETS

ROOT = Path(__file__).parent.parent
CODE = sorted([*ROOT.glob("gateway/**/*.py"), *ROOT.glob("adapters/**/*.py")])


def tracked(*patterns: str) -> list[Path]:
    """Files of the repository that match."""
    listed = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).exists()]


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_says_what_it_is_and_stays_readable(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)

    assert ast.get_docstring(tree), "a module begins by saying what it is"
    assert text.count("\n") <= 600
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and "versions" not in path.parts:
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= 60, f"{node.name} has {length} lines"


def test_nothing_is_left_to_do_without_an_issue() -> None:
    marks = re.compile(r"\b(?:TODO|FIXME|XXX|NotImplementedError)\b")
    found = [str(path) for path in CODE if marks.search(path.read_text())]

    assert found == []


def test_public_registries_are_named_in_one_place() -> None:
    """Elsewhere only where a person must type one into a client's configuration."""
    hosts = {urlsplit(preset.url).hostname for preset in PRESETS.values()} | {
        h for p in PRESETS.values() for h in p.hosts
    }
    allowed = {ROOT / "gateway/upstream/presets.py", ROOT / "docs/clients.md"}
    found = [
        f"{path.relative_to(ROOT)}: {host}"
        for path in tracked("*.py", "*.md", "*.yaml", "*.toml", "Makefile", "Dockerfile", "*.html")
        for host in sorted(str(h) for h in hosts)
        if path not in allowed
        and re.search(rf"(?<![\w.-]){re.escape(host)}(?![\w-])", path.read_text(errors="replace"))
    ]

    assert found == []


def test_the_pages_name_files_that_are_there() -> None:
    named = {
        (page.name, path)
        for page in [ROOT / "README.md", *ROOT.glob("docs/*.md")]
        for path in re.findall(r"(?:`|\]\()((?:docs|tests|bench)/[\w./-]+)", page.read_text())
    }

    assert {one for one in named if not (ROOT / one[1]).exists()} == set()
    assert len(named) > 20
