"""Outside judges of what ``audit`` writes for others: OpenLineage's client, W3C PROV's and CycloneDX's validators.

One keep with a query, data derived from it, a model verified on that, and a model of hostile names on top.
"""

from __future__ import annotations

import enum
import functools
import hashlib
import importlib
import json
import pkgutil
import re
import shutil
import sqlite3
import types
import typing
from typing import TYPE_CHECKING, Any

import attr
import html5lib
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from openlineage.client import generated
from openlineage.client.generated import base
from openlineage.client.serde import Serde
from prov.model import ProvDocument
from world import FACTS, facts_without

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from world import World

SCRIPT = "<script>alert(1)</script>"
TRICK = "/home/aiko/\u202egnp.exe <img src=x onerror=alert(2)>\u2066[2J.csv"
SQL = "-- booked <b>&amp; shipped</b>\nSELECT id, amount, late FROM orders WHERE id >= :since ORDER BY id\n"


@pytest.fixture(scope="module")
def world(new_world: Callable[..., World]) -> World:
    """raw (SQL) → orders (derived) → lateness (verified) → churn (run, with undeclared inputs, and no known base)."""
    world = new_world()
    aiko = world.aiko
    database = aiko.cwd / "shop.db"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, amount INTEGER, late TEXT)")
        connection.executemany("INSERT INTO orders VALUES (?, ?, 'no')", [(n, n) for n in range(9)])
    connection.close()
    (aiko.cwd / "orders.sql").write_text(SQL)
    aiko.datakeep(
        "register", "raw", "--sql", aiko.cwd / "orders.sql", "--database", f"sqlite:///{database}", "--param",
        "since=0", "--purpose", "orders as booked", "--no-annotation", "nothing to label", "--privacy",
        "pseudonymised", "--license", "internal", "--access", "ask", "--caveat", f"rows of a test {SCRIPT}",
        cwd=world.keep,
    )  # fmt: skip
    aiko.datakeep(
        "register", "orders", world.orders, "--backend", "dvc", "--source-kind", "derived", "--parent", "raw@v1",
        "--source-command", "make features", *facts_without("--origin"), cwd=world.keep,
    )  # fmt: skip
    world.reference("orders", "--model-name", "lateness")
    aiko.datakeep("verify", "orders", cwd=world.keep)
    entry = aiko.datakeep("show", "orders@v2", "--json", cwd=world.keep).data["entry"]
    place = world.keep / "models" / "churn" / "v1.yaml"
    place.parent.mkdir()
    place.write_text(json.dumps(hostile(entry, (world.orders / "train/orders.csv").read_bytes())))
    aiko.run("git", "add", "-A", "models", cwd=world.keep)
    aiko.run("git", "commit", "-qm", "a record", cwd=world.keep)
    return world


def hostile(entry: dict[str, Any], registered: bytes) -> dict[str, Any]:
    """A record as somebody might write it who means harm to whoever opens the page; it read a copy, too."""
    read = {"count": 1, "of": 5, "splits": {"train": 1}}
    given = {"dataset": "orders", "version": "v2", "commit": entry["commit"], "content": entry["content"]}
    return {
        "format": "datakeep/model/1", "model": "churn", "version": "v1",
        "artifacts": [{"path": "m.bin", "sha256": hashlib.sha256(b"m").hexdigest(), "size_bytes": 1}],
        "inputs": [given | {"how": "observed", "files_read": read}], "base_models": ["lateness@v1", "resnet@v3"],
        "undeclared": [
            {"path": TRICK, "sha256": "c" * 64, "size_bytes": 12},
            {"path": "/srv/copy.csv", "sha256": hashlib.sha256(registered).hexdigest(), "size_bytes": 9},
        ], "undeclared_count": 2,
        "code": {"url": "git@git.corp.example:ml/churn.git", "commit": "4" * 40, "path": "train me.py"},
        "command": ["python", "train.py", f"--title={SCRIPT}"], "parameters": {"depth": 3, "名前": "churn"},
        "metrics": {"accuracy": "0.9"}, "seeds": {"PYTHONHASHSEED": "0"}, "status": "failed",
        "failure": f"exit code 1 {SCRIPT}", "observed": {"by": "strace"}, "origin": "run", "resources": {},
        "environment": {"kind": "uv", "python": "3.11.9", "variables": {"OMP_NUM_THREADS": "1"}},
        "recorded_at": "2026-11-22T09:12:03+00:00", "recorded_by": "aiko@corp.example",
        "unknown": ["gpu", f"</style>{SCRIPT}"],
    }  # fmt: skip


@functools.cache
def _asked(keep: Path, subject: str, form: str) -> str:
    world = WORLDS[keep]
    return world.aiko.datakeep("audit", subject, "--format", form, cwd=world.keep).out


WORLDS: dict[Path, World] = {}


def asked(world: World, subject: str, form: str) -> str:
    """The answer; each is asked for once, since the keep does not change."""
    WORLDS[world.keep] = world
    return _asked(world.keep, subject, form)


# ---- OpenLineage: the official client's classes, which its makers generate from the standard's schemas


def official() -> dict[str, type]:
    """Every class of the standard, by the URL of its schema."""
    found = {}
    for module in pkgutil.iter_modules(generated.__path__):
        loaded = importlib.import_module(f"{generated.__name__}.{module.name}")
        for one in vars(loaded).values():
            if isinstance(one, type) and attr.has(one) and hasattr(one, "_get_schema"):
                found[one._get_schema()] = one
    return found


OFFICIAL = official()


def taken(kind: Any, value: Any) -> Any:
    """``value`` as the official class says: each field known and of its type, none that is needed missing."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return taken(next(one for one in inner if one is not type(None)), value)
    if origin is list:
        assert isinstance(value, list)
        return [taken(inner[0], one) for one in value]
    if origin is dict:
        assert isinstance(value, dict)
        return {key: facet(one, inner[1]) for key, one in value.items()}
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return kind(value)
    if attr.has(kind):
        return structured(kind, value)
    assert isinstance(value, kind), (kind, value)
    return value


def structured(kind: type, value: dict[str, Any]) -> Any:
    fields = {field.name: field for field in attr.fields(kind)}
    assert value.keys() <= fields.keys(), f"{kind.__name__} knows no {sorted(value.keys() - fields.keys())}"
    hints = typing.get_type_hints(kind)
    given = {name: taken(hints[name], one) for name, one in value.items() if fields[name].init}
    return kind(**{fields[name].alias: one for name, one in given.items()})


def facet(value: dict[str, Any], of: Any) -> Any:
    """One facet: of the standard, or one of ours, which must be the standard's for its place plus its own fields."""
    assert re.match(r"urn:[a-z0-9]+:.|https?://", value["_producer"])
    kind = OFFICIAL[value["_schemaURL"]]
    assert issubclass(kind, typing.get_origin(of) or of), (kind, of)
    if kind.__name__ in ("DatasetFacet", "InputDatasetFacet", "OutputDatasetFacet", "RunFacet", "JobFacet"):
        own = {key: one for key, one in value.items() if not key.startswith("_")}
        return kind(producer=value["_producer"]).with_additional_properties(**own)
    return structured(kind, value)


def events(world: World, subject: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in asked(world, subject, "openlineage").splitlines()]
    for event in found:
        kind = OFFICIAL[event["schemaURL"]]
        assert kind in (base.RunEvent, base.DatasetEvent)
        assert json.loads(Serde.to_json(taken(kind, event)), object_pairs_hook=full) == json.loads(
            json.dumps(event), object_pairs_hook=full
        )
    return found


def full(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object without what the client leaves out or adds: what is empty."""
    return {key: value for key, value in pairs if value not in (None, [], {})}


def test_openlineage_events_are_what_the_official_client_takes_and_would_send(world: World) -> None:
    raw, orders, lateness, churn = events(world, "model:churn")
    assert (raw["job"]["name"], raw["job"]["facets"]["sql"]["query"]) == ("extract/raw", SQL)
    assert [one["name"] for one in raw["inputs"]] == [f"{world.aiko.cwd}/shop.db/main.orders"]
    assert [one["name"] for one in orders["inputs"]] == ["datasets/raw"]
    assert lateness["eventType"] == "COMPLETE"
    assert (churn["eventType"], churn["eventTime"]) == ("FAIL", "2026-11-22T09:12:03+00:00")
    names = ["datasets/orders", "models/lateness", "models/resnet", TRICK, "/srv/copy.csv"]
    assert [one["name"] for one in churn["inputs"]] == names
    facets = churn["inputs"][0]["facets"]
    assert facets["version"]["datasetVersion"] == "v2"
    assert facets["ownership"]["owners"] == [{"name": "Aiko Tanaka <aiko@corp.example>", "type": "OWNER"}]
    assert churn["job"]["facets"]["sourceCodeLocation"]["url"] == "ssh://git@git.corp.example/ml/churn.git"
    assert churn["inputs"][0]["inputFacets"]["inputStatistics"]["fileCount"] == 1
    assert "gpu" in churn["run"]["facets"]["datakeep_record"]["not_known"]
    assert "target: not stated" in facets["datakeep_version"]["not_known"]
    again = [event["run"]["runId"] for event in events(world, "model:churn")]
    assert again == [event["run"]["runId"] for event in (raw, orders, lateness, churn)]


def test_the_judge_of_events_refuses_what_the_standard_does_not_know(world: World) -> None:
    event = json.loads(asked(world, "model:churn", "openlineage").splitlines()[-1])
    for spoiled in (
        {**event, "colour": "red"},
        {**event, "eventType": "DONE"},
        {**event, "run": {**event["run"], "runId": "churn"}},
        {**event, "eventTime": "2026-11-22"},
    ):
        with pytest.raises((AssertionError, ValueError)):
            taken(base.RunEvent, spoiled)


def test_openlineage_backwards_has_the_trainings_of_every_model_that_was_reached(world: World) -> None:
    jobs = [event["job"]["name"] for event in events(world, "dataset:raw")]
    assert sorted(jobs) == sorted(
        ["extract/raw", "derive/orders", "derive/orders", "train/lateness", "train/churn"]
    )


# ---- PROV


@pytest.mark.parametrize("subject", ["model:churn", "dataset:raw", "orders@v2"])
def test_prov_is_read_by_the_prov_package_and_says_the_same_afterwards(world: World, subject: str) -> None:
    text = asked(world, subject, "prov")
    document = ProvDocument.deserialize(content=text, format="json")
    again = ProvDocument.deserialize(content=document.serialize(format="json"), format="json")
    assert document == again
    assert document == ProvDocument.deserialize(content=document.serialize(format="provn"), format="provn")
    assert document.unified() == again.unified()
    data = json.loads(text)
    known = data["entity"].keys() | data["activity"].keys() | data["agent"].keys()
    for kind in data.keys() - {"prefix", "entity", "activity", "agent"}:
        for relation in data[kind].values():
            ends = [one for key, one in relation.items() if key in ENDS]
            assert len(ends) == 2, (kind, relation)
            assert set(ends) <= known, (kind, relation)


ENDS = {
    f"prov:{name}" for name in (
        "entity", "activity", "agent", "usedEntity", "generatedEntity", "specificEntity", "generalEntity",
        "influencee", "influencer",
    )
}  # fmt: skip


def test_prov_says_what_was_used_made_and_not_known(world: World) -> None:
    data = json.loads(asked(world, "model:churn", "prov"))
    used = {
        (one["prov:activity"], one["prov:entity"]) for one in data["used"].values() if "prov:entity" in one
    }
    assert ("keep:runs/churn@v1", "keep:datasets/orders@v2") in used
    assert ("keep:runs/churn@v1", "keep:models/resnet@v3") in used
    assert ("keep:derivations/orders@v2", "keep:datasets/raw@v1") in used
    assert data["activity"]["keep:extractions/raw@v1"]["datakeep:query"] == SQL
    owned = {one["prov:agent"] for one in data["wasAttributedTo"].values()}
    assert owned == {"keep:people/aiko@corp.example"}
    assert "gpu" in data["entity"]["keep:models/churn@v1"]["datakeep:notKnown"]
    assert data["entity"]["keep:datasets/raw@v1"]["datakeep:caveat"] == [f"rows of a test {SCRIPT}"]
    head = world.aiko.run("git", "rev-parse", "HEAD", cwd=world.keep).out.strip()
    assert data["entity"]["keep:answer"]["datakeep:keepCommit"] == head


# ---- all of them


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("openlineage", '"same_bytes_as":"orders@v2:train/orders.csv'),
        ("prov", '"datakeep:sameBytesAs":"orders@v2:train/orders.csv'),
        ("cyclonedx", '"name":"datakeep:same-bytes-as","value":"orders@v2:train/orders.csv'),
    ],
)
def test_whose_bytes_an_undeclared_file_has_is_in_each_form(world: World, form: str, said: str) -> None:
    plain = asked(world, "model:churn", form).replace("\n", "").replace(": ", ":")
    assert said in re.sub(r",\s+", ",", plain)


def test_so_it_is_where_the_dataset_was_asked_about(world: World) -> None:
    assert "same_bytes_as" in asked(world, "dataset:orders", "openlineage")


# ---- CycloneDX


def test_the_bill_of_materials_is_strictly_valid_and_whole(world: World) -> None:
    text = asked(world, "model:churn", "cyclonedx")
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(text) is None
    assert validator.validate_str(text.replace('"type": "data"', '"type": "dataa"')) is not None
    bom = json.loads(text)
    root = bom["metadata"]["component"]
    assert (root["type"], root["name"], root["hashes"][0]["content"]) == (
        "machine-learning-model", "churn", hashlib.sha256(b"m").hexdigest(),
    )  # fmt: skip
    components = {one["bom-ref"]: one for one in bom["components"]}
    assert components.keys() == {
        "model:lateness@v1", "model:resnet@v3", "dataset:orders@v2", "dataset:raw@v1", "undeclared:churn@v1:0",
        "undeclared:churn@v1:1",
    }  # fmt: skip
    assert components["dataset:orders@v2"]["licenses"] == [{"license": {"id": "CC0-1.0"}}]
    assert components["dataset:raw@v1"]["licenses"] == [{"license": {"name": "internal"}}]
    assert components["dataset:raw@v1"]["data"][0]["sensitiveData"] == ["personal data: pseudonymised"]
    needs = {one["ref"]: one["dependsOn"] for one in bom["dependencies"]}
    assert set(needs["model:churn@v1"]) == components.keys() - {"dataset:raw@v1"}
    assert needs["dataset:orders@v2"] == ["dataset:raw@v1"]
    assert {"name": "datakeep:not-known", "value": "gpu"} in root["properties"]
    assert [one["aggregate"] for one in bom["compositions"]] == ["unknown"]


def test_what_a_form_cannot_say_is_an_error_with_the_way_out(world: World) -> None:
    for subject in ("dataset:raw", "raw@v1"):
        said = world.aiko.datakeep("audit", subject, "--format", "cyclonedx", cwd=world.keep, code=31).err
        assert "--format openlineage" in said
    paths = world.aiko.datakeep(
        "audit", "orders:train/orders.csv", "--format", "openlineage", cwd=world.keep, code=31
    )
    assert "datakeep audit orders:train/orders.csv --html FILE" in paths.err


# ---- the page


def test_the_page_is_well_formed_and_nothing_in_a_name_is_obeyed(world: World) -> None:
    file = world.aiko.cwd / "churn.html"
    for subject in ("model:churn", "dataset:raw", "orders:train/orders.csv"):
        world.aiko.datakeep("audit", subject, "--html", file, cwd=world.keep)
        text = file.read_text("utf-8")
        page = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(
            text
        )  # raises on any error
        tags = {element.tag for element in page.iter() if isinstance(element.tag, str)}
        bare = {tag.rpartition("}")[2] for tag in tags}
        assert not bare & {"script", "img", "iframe", "link", "object", "embed", "form", "base", "b"}
        for element in page.iter():
            for name, value in element.attrib.items():
                assert not name.lower().startswith("on")
                assert name not in ("src", "style", "srcset", "xlink:href")
                assert name != "href" or value.startswith("#n")
        policies = [one.get("content", "") for one in page.iter("meta") if one.get("http-equiv")]
        assert [one.partition(";")[0] for one in policies] == ["default-src 'none'"]
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]", text)
        ids = [element.get("id") for element in page.iter() if element.get("id")]
        assert len(ids) == len(set(ids))
        targets = {element.get("href") for element in page.iter("a")}
        assert targets <= {f"#{one}" for one in ids}


def test_the_page_shows_all_that_the_answer_has(world: World) -> None:
    file = world.aiko.cwd / "shown.html"
    said = world.aiko.datakeep("audit", "model:churn", "--html", file, "--json", cwd=world.keep).data
    assert said["written"] == [str(file)]
    page = html5lib.parse(file.read_text("utf-8"), namespaceHTMLElements=False)
    shown = "".join(page.itertext())
    head = world.aiko.run("git", "rev-parse", "HEAD", cwd=world.keep).out.strip()
    for wanted in (
        "What churn@v1 was made of", head, SQL, f"rows of a test {SCRIPT}", "Aiko Tanaka <aiko@corp.example>",
        "FAILED", "/home/aiko/\\u202egnp.exe <img src=x onerror=alert(2)>\\u2066[2J.csv", "c" * 64,
        "proofs/orders/v2/", f"</style>{SCRIPT}", "what the base model resnet@v3 was made of", "self-checked",
        "pseudonymised", "名前 churn",
    ):  # fmt: skip
        assert wanted in shown, wanted
    boxes = {one.text for one in page.iter("{http://www.w3.org/2000/svg}text") if one.get("class") == "name"}
    assert boxes == {"churn@v1", "lateness@v1", "resnet@v3", "orders@v2", "raw@v1"}


def test_no_secret_leaves_by_any_form_and_any_name_can_be_said(world: World) -> None:
    """A record of a foreign program: a URL with a password, and a base model that is called what no model is."""
    place = world.keep / "models" / "leaky" / "v1.yaml"
    if not place.exists():
        place.parent.mkdir()
        record = json.loads((world.keep / "models" / "churn" / "v1.yaml").read_text())
        record |= {
            "model": "leaky",
            "base_models": ["<b>we ird/注:x@v1"],
            "code": {"url": "https://aiko:hunter22@git.corp.example/x.git"},
        }
        place.write_text(json.dumps(record))
        world.aiko.run("git", "add", "-A", "models", cwd=world.keep)
        world.aiko.run("git", "commit", "-qm", "leaky", cwd=world.keep)
    for form in ("openlineage", "prov", "cyclonedx"):
        text = asked(world, "model:leaky", form)
        assert "git.corp.example/x.git" in text
        assert "hunter22" not in text
    ProvDocument.deserialize(content=asked(world, "model:leaky", "prov"), format="json").get_provn()
    assert (
        JsonStrictValidator(SchemaVersion.V1_6).validate_str(asked(world, "model:leaky", "cyclonedx")) is None
    )
    assert events(world, "model:leaky")[-1]["inputs"][1]["name"] == "models/<b>we ird/注:x"
    file = world.aiko.cwd / "leaky.html"
    world.aiko.datakeep("audit", "model:leaky", "--html", file, cwd=world.keep)
    assert "git.corp.example/x.git" in file.read_text("utf-8")
    assert "hunter22" not in file.read_text("utf-8")


# ---- files


def test_a_report_replaces_a_report_and_nothing_else(world: World) -> None:
    place = world.aiko.cwd / "reports"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    file, notes = place / "churn.json", place / "notes.txt"
    notes.write_text("datakeep told me so")
    for form in ("prov", "openlineage", "cyclonedx", "prov"):
        ask = ("audit", "model:churn", "--format", form, "-o", file)
        assert f"wrote {file}" in world.aiko.datakeep(*ask, cwd=world.keep).out
    refused = world.aiko.datakeep("audit", "model:churn", "--html", notes, cwd=world.keep, code=12).err
    assert "--force" in refused
    assert notes.read_text() == "datakeep told me so"
    missing = place / "none" / "x.html"
    world.aiko.datakeep("audit", "model:churn", "--html", missing, cwd=world.keep, code=16)
    world.aiko.datakeep("audit", "model:churn", "--html", notes, "--force", cwd=world.keep)
    assert "<!DOCTYPE html>" in notes.read_text("utf-8")
    assert sorted(one.name for one in place.iterdir()) == ["churn.json", "notes.txt"]
    for options in (("-o", file), ("--format", "prov", "--json")):
        world.aiko.datakeep("audit", "model:churn", *options, cwd=world.keep, code=2)


def test_what_went_into_nothing_can_be_said_too(world: World) -> None:
    world.aiko.datakeep("register", "unused", world.training, "--backend", "git", *FACTS, cwd=world.keep)
    file = world.aiko.cwd / "unused.html"
    for subject in ("unused", "unused@v1", "unused:train.py"):
        # Not "no": other models here were made of something that the keep has no record of.
        world.aiko.datakeep("audit", subject, "--html", file, cwd=world.keep, code=4)
        page = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(file.read_text("utf-8"))
        assert "The keep records nothing of it." in "".join(page.itertext())
    prov = world.aiko.datakeep("audit", "unused", "--format", "prov", cwd=world.keep, code=4).out
    document = ProvDocument.deserialize(content=prov, format="json")
    assert "datasets/unused" in document.get_provn()


def test_of_an_unknown_model_nothing_is_written(world: World) -> None:
    (world.aiko.cwd / "other.bin").write_bytes(b"other")
    ask = ("audit", world.aiko.cwd / "other.bin", "--html", world.aiko.cwd / "other.html")
    assert "nothing was written" in world.aiko.datakeep(*ask, cwd=world.keep, code=3).out
    assert not (world.aiko.cwd / "other.html").exists()
