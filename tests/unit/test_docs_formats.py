"""Every example in docs/formats.md is what the code reads and what the schemas allow."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import pytest

from datakeep.formats import yaml
from datakeep.formats.base import Document
from datakeep.formats.inventory import SCHEMA
from datakeep.formats.proof import Statement
from datakeep.formats.schema import KINDS
from datakeep.repository import submodules
from datakeep.store import dvc_format
from datakeep.store.opening import open_store

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/formats.md").read_text("utf-8")
EXAMPLES = dict(re.findall(r"<!-- example: (\w+) -->\n```\w+\n(.*?)```\n", PAGE, re.DOTALL))


def check_schema(kind: str, data: object) -> None:
    schema = json.loads((ROOT / f"schemas/{kind}.json").read_text("utf-8"))
    jsonschema.validate(data, schema, format_checker=jsonschema.FormatChecker())


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_has_an_example_that_fits_its_model_and_schema(kind: str) -> None:
    text = EXAMPLES[kind]
    model = KINDS[kind]
    if issubclass(model, Document):
        model.read(text, what=kind).check_strict(what=kind)
        check_schema(kind, yaml.plain(yaml.load(text, what=kind)))
    else:
        statement = Statement.from_bytes(text.encode(), what=kind)
        assert not list(statement.unknown_fields())
        check_schema(kind, json.loads(text))


def test_a_schema_refuses_what_the_model_refuses() -> None:
    keep = yaml.plain(yaml.load(EXAMPLES["keep"], what="keep"))
    with pytest.raises(jsonschema.ValidationError):
        check_schema("keep", {**keep, "name": "No Name"})


def test_the_inventory_has_the_columns_that_the_page_says() -> None:
    table = re.search(r"<!-- example: inventory -->\n(.*?)\n\n", PAGE, re.DOTALL)
    assert table
    rows = [[cell.strip().strip("`") for cell in row.split("|")[1:4]] for row in table[1].splitlines()[2:]]
    real = [
        [
            field.name,
            "dictionary&lt;string&gt;" if field.name == "split" else str(field.type),
            "yes" if field.nullable else "no",
        ]
        for field in SCHEMA
    ]
    assert rows == real
    assert SCHEMA.metadata[b"format"].decode() in PAGE


def test_the_examples_of_dvc_and_git_are_read() -> None:
    pointer = dvc_format.parse_pointer_file(EXAMPLES["pointer"], what="data.dvc")
    assert EXAMPLES["pointer"] == dvc_format.pointer_file(
        pointer.path, pointer.md5, pointer.size_bytes or 0, pointer.nfiles
    )
    files = dvc_format.parse_tree_object(EXAMPLES["tree"].encode(), what=".dir")
    assert list(files) == sorted(files)
    listed = submodules.parse(EXAMPLES["gitmodules"])
    submodules.check(listed)
    assert [module.path for module in listed] == ["datasets/orders"]


def test_the_example_of_a_marker_makes_a_folder_a_store(tmp_path: Path) -> None:
    (tmp_path / "datakeep-store.json").write_text(EXAMPLES["store"], "utf-8")
    marker = open_store("main", str(tmp_path)).check(keep="vision")
    assert marker.created == datetime(2026, 11, 20, 3, tzinfo=UTC)
