"""What the README and docs/ say can be typed, can be typed; what they link to is there; no map has a hole."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

import datakeep
from datakeep.cli.group import COMMANDS
from datakeep.cli.group import datakeep as program

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def find(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that ``words`` (without ``datakeep``) call, and what follows its name."""
    command: click.Command = program
    context = click.Context(program)
    while words and isinstance(command, click.Group):
        if words[0] == "-C":
            words = words[2:]
            continue
        found = command.get_command(context, words[0])
        if found is None:
            break
        command, words = found, words[1:]
    return command, words


def options(command: click.Command) -> set[str]:
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return {name for name in known if name.startswith("-")} | {"--help", "-h"}


def all_options(command: click.Command = program) -> set[str]:
    below = set()
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            below |= all_options(child)
    return options(command) | below


def typed(text: str) -> Iterator[list[str]]:
    """Every call of datakeep on a page, as words without ``datakeep``."""
    for language, block in BLOCK.findall(text):
        if language == "sh":
            for line in block.replace("\\\n", " ").splitlines():
                for part in re.split(r"&&|\|", line):
                    words = shlex.split(part, comments=True)
                    if words and words[0] == "datakeep":
                        yield words[1:]
    for span in SPAN.findall(BLOCK.sub("", text)):
        if span.startswith("datakeep "):
            yield span.split()[1:]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_and_option_on_a_page_exists(page: Path) -> None:
    text = page.read_text("utf-8")
    for words in typed(text):
        command, rest = find(words)
        wrong = isinstance(command, click.Group) and rest and not rest[0].startswith(("-", "…"))
        assert not wrong, f"there is no command: datakeep {' '.join(words)}"
        own = rest[: rest.index("--")] if "--" in rest else rest  # what follows is a training's
        given = {word.partition("=")[0] for word in own if re.match(r"--?[a-zA-Z]", word)}
        assert given <= options(command), f"datakeep {' '.join(words)}: {given - options(command)}"
    known = all_options()
    for span in SPAN.findall(BLOCK.sub("", text)):
        if re.match(r"--[a-z]", span):
            assert span.split()[0].partition("=")[0] in known, span


def test_the_walk_of_the_checks_finds_what_it_must() -> None:
    text = "`datakeep people add --name X` and\n```sh\ncd x && datakeep init DIR  # --no\n```\n"
    assert list(typed(text)) == [["init", "DIR"], ["people", "add", "--name", "X"]]
    assert find(["people", "add", "--name"])[0].name == "add"
    assert "--name" in options(find(["people", "add"])[0])
    assert "--measure" not in options(find(["verify"])[0])


def test_every_command_is_documented() -> None:
    text = (ROOT / "docs/commands.md").read_text("utf-8")
    for name in COMMANDS:
        assert f"\n## datakeep {name}" in text, name
    everywhere = "".join(page.read_text("utf-8") for page in PAGES if page.name != "commands.md")
    for name in COMMANDS:
        assert re.search(rf"`(datakeep )?{name}\b", everywhere), f"{name} is nowhere but in the reference"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(BLOCK.sub("", page.read_text("utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name} links to {link}"
        assert target.is_relative_to(ROOT), f"{page.name} links out of the repository: {link}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text("utf-8"), re.MULTILINE)
            assert anchor in {heading.lower().replace(" ", "-") for heading in headings}, link


def test_the_failures_are_all_there_once_and_each_says_how_it_stands() -> None:
    rows = re.findall(
        r"^\| (L\d+) \|.*\| (answered|partly|not yet)[^|]*\|$", _page("failures.md"), re.MULTILINE
    )
    assert [number for number, _ in rows] == [f"L{number}" for number in range(1, 27)]


def test_the_map_of_the_house_has_every_room() -> None:
    text = _page("house.md")
    package = Path(datakeep.__file__).parent
    rooms = [path.name for path in package.iterdir() if (path / "__init__.py").is_file()]
    assert len(rooms) > 9
    for room in rooms:
        assert f"{room}/" in text, f"docs/house.md does not have {room}/"
    parts = ("workflows", "store", "repository", "rerun", "attest", "lineage", "extract")
    for path in (one for part in parts for one in (package / part).glob("[a-z]*.py")):
        # What serves the files beside it need not be on a map; a verb of the product must be.
        if path.parent.name == "workflows" or path.stem == "interface":
            assert f"`{path.stem}`" in text, f"docs/house.md does not have {path.parent.name}/{path.name}"


def test_every_decision_is_listed() -> None:
    text = _page("decisions/README.md")
    for path in (ROOT / "docs/decisions").glob("0*.md"):
        assert f"({path.name})" in text, path.name
        assert path.read_text("utf-8").startswith(f"# {int(path.name[:4])}. "), path.name


def test_the_changelog_is_kept_in_form() -> None:
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert "\n## [Unreleased]\n" in text
    assert f"\n## [{datakeep.__version__}]" in text
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)$", text, re.MULTILINE)) <= kinds


def test_the_first_thing_in_the_readme_is_two_commands() -> None:
    _, block = BLOCK.findall((ROOT / "README.md").read_text("utf-8"))[0]
    assert [line.split("#")[0].strip() for line in block.splitlines()] == ["make demo", "make test"]
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert {"demo", "test", "docs"} <= set(targets)


def _page(name: str) -> str:
    return (ROOT / "docs" / name).read_text("utf-8")
