"""The documents agree with the code: generated pages, versions, names, links, the README's code."""

import ast
import re
from importlib import import_module
from inspect import ismodule
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from typer.main import get_command

import impasto
from impasto import errors
from impasto.cli.main import app
from impasto.cli.reference import settings_page
from impasto.settings.presets import PRESETS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_settings_page_is_up_to_date() -> None:
    assert (ROOT / "docs" / "settings.md").read_text() == settings_page(), "run scripts/docs"


def test_the_changelog_begins_with_this_version() -> None:
    first = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert first is not None
    assert first[1] == impasto.__version__


def test_public_names_equal_those_that_type_checkers_see() -> None:
    """`__all__`, the imports for type checkers and the names loaded on first use are the same."""
    tree = ast.parse(Path(impasto.__file__).read_text(encoding="utf-8"))
    (block,) = (
        node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    imports = {
        alias.asname or alias.name: (str(node.module), alias.name)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert sorted(imports) == sorted(impasto.__all__)
    for name, (module, inner) in imports.items():
        assert getattr(impasto, name) is getattr(import_module(module), inner), name
    of_python = {"Any", "TYPE_CHECKING", "import_module"}
    listed = {name for name in dir(impasto) if not name.startswith("_")} - of_python
    assert {name for name in listed if not ismodule(getattr(impasto, name))} == set(impasto.__all__)
    with pytest.raises(AttributeError, match="module 'impasto' has no attribute 'stylise'"):
        _ = impasto.stylise


def test_the_drawn_tree_has_every_error_with_its_exit_code() -> None:
    drawn = dict(re.findall(r"(\w+Error)\s+(\d)", errors.__doc__ or ""))
    defined = {
        name: str(value.exit_code)
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.ImpastoError)
    }
    assert drawn == defined


def test_every_command_has_help_and_is_on_the_page_of_commands() -> None:
    page = (ROOT / "docs" / "commands.md").read_text()
    group = get_command(app)
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        assert command.help, name
        assert f"impasto {name}" in page, name


def test_every_page_can_be_reached_from_the_readme() -> None:
    """A chain of links leads from the README to each page."""
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        for link in re.findall(r"\]\(([^)#]+\.md)", page.read_text(encoding="utf-8")):
            target = (page.parent / link).resolve()
            if not link.startswith("http") and target not in reached:
                waiting.append(target)
    assert not {*(ROOT / "docs").glob("*.md"), ROOT / "CONTRIBUTING.md"} - reached


def test_the_readme_fits_one_screen() -> None:
    assert len(README.splitlines()) <= 60


def test_every_preset_is_on_the_page_of_presets() -> None:
    page = (ROOT / "docs" / "presets.md").read_text()
    assert not [name for name in PRESETS if f"`{name}`" not in page]


def test_the_readme_begins_with_two_commands_and_has_three_lines_of_python() -> None:
    assert README.index("scripts/demo") < README.index("scripts/test") < 2500
    (code,) = re.findall(r"```python\n(import impasto\n.*?)```", README, re.DOTALL)
    assert len([line for line in code.splitlines() if line]) == 3
    compile(code, "README.md", "exec")


def anchors(page: Path) -> set[str]:
    """The anchors of the page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_in_the_docs_have_targets() -> None:
    links = [
        (page, file or source, anchor)
        for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
        for file, anchor, source in re.findall(
            r"\]\(([^)#]*)(?:#([^)]*))?\)|src=\"([^\"]+)\"", page.read_text(encoding="utf-8")
        )
        if not (file or source).startswith("http")
    ]
    assert {"README.md", "CONTRIBUTING.md", "design.md"} <= {page.name for page, *_ in links}
    for page, link, anchor in links:
        target = page.parent / link if link else page
        assert target.exists(), f"{page.name} → {link}"
        if anchor:
            assert anchor in anchors(target), f"{page.name} → {link}#{anchor}"


def test_torch_is_pinned_within_the_range() -> None:
    (pin,) = re.findall(r"^torch==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    (requirement,) = re.findall(r'"(torch>=2\.\d+,<3)"', (ROOT / "pyproject.toml").read_text())
    assert Requirement(requirement).specifier.contains(pin)


def test_every_test_named_in_the_paper_page_exists() -> None:
    page = (ROOT / "docs" / "paper.md").read_text()
    tables = page.split("## Where Impasto differs")[0]
    rows = [line for line in tables.splitlines() if line.startswith("| ") and "in the paper" not in line]
    assert len(rows) >= 18
    for row in rows:
        named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", row)
        assert named, row
        for file, name in named:
            (path,) = (ROOT / "tests").rglob(file)
            assert f"def {name}(" in path.read_text(), f"{file}::{name}"
