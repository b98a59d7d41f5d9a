"""The pages and schemas that come from the code are those that the code makes now."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import pytest

from datakeep.cli.group import COMMANDS
from datakeep.core.errors import DatakeepError, families
from datakeep.formats.schema import KINDS

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs/generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_files_are_up_to_date(generate: ModuleType) -> None:
    pages: dict[Path, str] = generate.pages()
    differing = [str(path) for path, text in pages.items() if _text(ROOT / path) != text]
    assert not differing, "run `make docs`"


def _text(path: Path) -> str | None:
    return path.read_text("utf-8") if path.is_file() else None


def test_no_schema_is_left_over_from_a_kind_that_is_gone() -> None:
    assert {path.stem for path in (ROOT / "schemas").glob("*.json")} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_each_schema_is_one(kind: str) -> None:
    schema = json.loads((ROOT / f"schemas/{kind}.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:datakeep:{kind}:1"
    assert schema["title"]


def test_every_command_has_an_example_that_calls_it(generate: ModuleType) -> None:
    names = []
    for name, command, _ in generate.all_commands():
        names.append(name)
        _, found, example = (command.help or "").partition("\b\nExample:\n")
        assert found, f"{name} --help has no example that keeps its lines"
        assert f"  {name}" in example, name
    assert {name.split()[1] for name in names} == set(COMMANDS)


def test_exit_codes_page_has_every_kind_of_error(generate: ModuleType) -> None:
    page: str = generate.exit_codes_page()

    def below(kind: type[DatakeepError]) -> list[type[DatakeepError]]:
        return [kind, *(found for child in kind.__subclasses__() for found in below(child))]

    kinds = [kind for family in families() if family.exit_code >= 10 for kind in below(family)]
    assert len(kinds) > 30
    for kind in kinds:
        assert f"| {kind.exit_code} | `{kind.id()}` |" in page
    for code in (0, 1, 2, 3, 125, 130):
        assert f"\n| {code} | " in page
