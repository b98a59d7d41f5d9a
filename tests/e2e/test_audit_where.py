"""``audit --where``: from a key value to versions, files and models; what is not here or damaged is never "no"."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fault_proxy import FaultProxy
from object_server import credentials
from seen import Quick
from world import FACTS, Ran, commit_files, facts_without

PRELOADED = (
    "pyarrow.parquet", "pyarrow.dataset", "datakeep.workflows.extraction", "datakeep.workflows.audit_where",
    "datakeep.extract.lookup_text", "datakeep.extract.sql.statement", "datakeep.cli.audit_where",
)  # fmt: skip
#: v1 has customer 4711 in one row of 400,000; v2 in none, though the ranges of its row groups hold it.
QUERY = """\
WITH spread AS (SELECT range AS order_id, (range * 7919 + 588843) % 1000003 AS customer_id FROM range(400000))
SELECT order_id, customer_id, 'c' || customer_id AS tailnum
FROM spread WHERE customer_id <> :without ORDER BY order_id
"""
SQL_FACTS = (
    "--purpose",
    "x",
    "--no-annotation",
    "none",
    "--privacy",
    "no",
    "--license",
    "x",
    "--access",
    "x",
)
PATTERN = re.compile(r"^(?:\d+ +)?(?:read|pread64)\(\d+<([^>]*)>.*= (\d+)$")
ORDER = 345_678


@pytest.fixture(scope="module")
def filled(new_world):
    """``orders`` from SQL in two versions; ``contacts`` in git; ``mixed`` of many formats; models of them."""
    world = new_world()
    calls = world.calls = Quick(world.aiko, Ran, preload=PRELOADED)
    yield fill(world, calls)
    calls.close()


def fill(world, calls):
    aiko, keep = world.aiko, world.keep
    (aiko.cwd / "q.sql").write_text(QUERY)
    calls.datakeep(
        "register", "orders", "--sql", aiko.cwd / "q.sql", "--database", "duckdb:", "--param", "without=-1",
        "--no-profile", *SQL_FACTS, cwd=keep,
    )  # fmt: skip
    calls.datakeep(
        "update", "orders", "--rerun", "--param", "without=4711", "--no-profile", "-m", "without", cwd=keep
    )
    contacts = aiko.cwd / "contacts"
    contacts.mkdir()
    (contacts / "people.csv").write_text(
        "customer_id,email\n4711,a@x.example\n04711,b@x.example\n12,c@x.example\n"
    )
    calls.datakeep("register", "contacts", contacts, "--backend", "git", *FACTS, cwd=keep)
    (contacts / "more.csv").write_text("customer_id,email\n13,d@x.example\n")
    calls.datakeep("update", "contacts", contacts, "-m", "more", cwd=keep)
    mixed = aiko.cwd / "mixed"
    mixed.mkdir()
    (mixed / "events.jsonl").write_text('{"customer_id": "4711"}\n{"customer_id": 4711}\n{"other": 1}\n')
    (mixed / "old.csv.gz").write_bytes(gzip.compress(b"customer_id,x\n1,2\n4711,3\n4711,4\n"))
    (mixed / "none.csv").write_text("customer,x\n4711,1\n")
    (mixed / "notes.txt").write_text("customer 4711 called\n")
    pq.write_table(pa.table({"customer_id": ["a", "b"], "n": [1, 2]}), mixed / "texts.parquet")
    calls.datakeep("register", "mixed", mixed, "--backend", "dvc", *FACTS, cwd=keep)
    calls.datakeep(
        "register", "features", contacts, "--backend", "git", "--source-kind", "derived", "--parent", "orders@v1",
        "--source-command", "make features", *facts_without("--origin"), cwd=keep,
    )  # fmt: skip
    lists = "events.jsonl\n"
    digest = f"sha256:{hashlib.sha256(lists.encode()).hexdigest()}"
    commit(world, {
        "models/first/v1.yaml": record(world, "first", {"orders@v1": {"count": 1}}),
        "models/second/v1.yaml": record(world, "second", {"orders@v2": {"count": 1}}),
        "models/listed/v1.yaml": record(world, "listed", {"mixed@v1": {"count": 1, "list": digest}}),
        "models/listed/v1.files.txt": lists,
        "models/many/v1.yaml": record(world, "many", {"mixed@v1": {"count": 4}}),
        "models/few/v1.yaml": record(world, "few", {"mixed@v1": {"count": 2}}),
        "models/fine/v1.yaml": record(world, "fine", {}, bases=["first@v1"]),
    })  # fmt: skip
    return world


def commit(world, files):
    commit_files(world.aiko, world.keep, files)
    world.aiko.run("git", "push", "-q", cwd=world.keep)


def record(world, name, inputs, *, bases=()):
    given = []
    for reference, read in inputs.items():
        entry = world.calls.datakeep("show", reference, "--json", cwd=world.keep).data["entry"]
        one = {name: entry[name] for name in ("dataset", "version", "commit", "content")}
        given.append(one | {"how": "observed", "files_read": read})
    return json.dumps({
        "format": "datakeep/model/1", "model": name, "version": "v1", "inputs": given, "base_models": list(bases),
        "artifacts": [], "code": {}, "command": ["x"], "environment": {"kind": "uv"}, "resources": {},
        "origin": "run",
    })  # fmt: skip


def where(world, condition, *argv, code=0, person=None, cwd=None):
    found = (person or world.calls).datakeep(
        "audit", "--where", condition, *argv, "--json", cwd=cwd or world.keep, code=code
    )
    return found.data


def files_of(data):
    return {
        (f"{one['dataset']}@{one['version']}", file["path"]): file["rows"]
        for one in data["versions"]
        for file in one["files"]
    }


def test_a_key_value_leads_to_versions_files_rows_and_models(filled):
    data = where(filled, "customer_id = 4711")
    expected = {
        ("contacts@v1", "people.csv"): 2, ("contacts@v2", "people.csv"): 2, ("features@v1", "people.csv"): 2,
        ("mixed@v1", "events.jsonl"): 2, ("mixed@v1", "old.csv.gz"): 2, ("orders@v1", "orders-00001.parquet"): 1,
    }  # fmt: skip
    assert files_of(data) == expected
    verdicts = {one["model"]: one["files"] for one in data["models"]}
    assert verdicts == {"first@v1": "read", "listed@v1": "read", "many@v1": "read", "few@v1": "not known"}
    assert "second@v1" not in json.dumps(data["models"] + data["through"])
    assert [one["way"] for one in data["through"]] == [["orders@v1", "first@v1", "fine@v1"]]
    assert data["not_searched"] == []
    assert data["no_tables"] == {"txt": 1}
    # people.csv is the same in three versions, and was read once.
    assert (data["searched"]["files"], data["searched"]["different"]) == (11, 8)
    assert data["searched"]["without_column"] == 1


def test_the_answer_in_words_says_what_was_believed_and_what_was_not_looked_into(filled):
    shown = filled.calls.datakeep("audit", "--where", "customer_id = 4711", cwd=filled.keep).out
    for words in (
        "orders@v1: 1 row in 1 file", "data/orders-00001.parquet  1 row", "MODEL", "fine@v1",
        "orders@v1 → first@v1 → fine@v1", "Bloom filters, which are believed: 3",
        "no tables, and so not looked into: txt 1",
        "a number was compared with texts, as it was typed (in 1 file)", "without such a column: 1",
    ):  # fmt: skip
        assert words in shown, words
    assert "derived from them" not in shown, "what was derived has such rows itself"


def test_a_version_or_dataset_can_be_asked_about_alone(filled):
    data = where(filled, f"order_id = {ORDER} AND tailnum = 'c4711'", "orders@v1")
    assert [(one["version"], one["rows"]) for one in data["versions"]] == [("v1", 1)]
    ways = {one["name"]: one["way"] for one in data["derived"]}
    assert ways == {
        "features@v1": ["orders@v1", "features@v1"],
        "contacts@v2": ["orders@v1", "features@v1", "contacts@v2"],  # of the same bytes as features@v1
    }
    data = where(filled, f"order_id = {ORDER}", "orders", "contacts@v1")
    assert [one["version"] for one in data["versions"]] == ["v1"]
    data = where(filled, f"order_id IN ({ORDER}, 5)", "dataset:orders")
    assert [one["rows"] for one in data["versions"]] == [2, 1]
    filled.calls.datakeep("audit", "orders@v9", "--where", "a = 1", cwd=filled.keep, code=11)
    filled.calls.datakeep("audit", "orders@v1:x.csv", "--where", "a = 1", cwd=filled.keep, code=2)


def test_a_version_without_the_value_is_not_read(filled, tmp_path):
    """strace tells how many bytes of each object were read: of v2 the footer and a few blocks of Bloom filters."""
    trace = tmp_path / "trace"
    person = filled.aiko
    person.run(
        "strace", "-f", "-y", "-e", "trace=read,pread64", "-o", trace, "python", "-m", "datakeep", "audit", "orders",
        "--where", "customer_id = 4711", "--json", cwd=filled.keep,
    )  # fmt: skip
    read = {}
    for line in trace.read_text("utf-8", "replace").splitlines():
        if match := PATTERN.match(line):
            read[match[1]] = read.get(match[1], 0) + int(match[2])
    objects = {}
    for version in ("v1", "v2"):
        place = person.cwd / f"out-{version}"
        if not place.exists():
            filled.calls.datakeep("checkout", f"orders@{version}", place, cwd=filled.keep)
        data = (place / "data" / "orders-00001.parquet").read_bytes()
        md5 = hashlib.md5(data).hexdigest()
        path = filled.vault / "data" / "orders" / "files" / "md5" / md5[:2] / md5[2:]
        objects[version] = (read.get(str(path), 0), len(data))
    assert objects["v2"][1] > 3_000_000
    assert 0 < objects["v2"][0] < 400_000, "statistics and Bloom filters rule it out"
    # One column of one of two row groups.
    assert objects["v2"][0] < objects["v1"][0] < objects["v1"][1] / 2
    groups = where(filled, "customer_id = 4711", "orders")["searched"]["row_groups"]
    assert (groups["all"], groups["read"], groups["by_bloom_filter"]) == (4, 1, 3)


def test_nothing_found_is_3_and_an_unknown_column_11_with_the_near_one(filled):
    data = where(filled, "customer_id = 4711", "orders@v2", code=3)
    assert (data["found"], data["versions"], data["models"], data["not_searched"]) == (False, [], [], [])
    assert (data["answer"], data["complete"]) == ("no", True)
    done = filled.calls.datakeep("audit", "orders", "--where", "customer_id = -1", cwd=filled.keep, code=3)
    assert "not found anywhere" in done.out
    done = filled.calls.datakeep("audit", "mixed", "--where", "customer_id = -1", cwd=filled.keep, code=3)
    assert "not found in any table" in done.out
    done = filled.calls.datakeep("audit", "orders", "--where", "custmer_id = 4711", cwd=filled.keep, code=11)
    assert "did you mean 'customer_id'" in done.err
    done = filled.calls.datakeep("audit", "--where", "customer_id > 4711", cwd=filled.keep, code=2)
    assert "at character 13" in done.err


def test_a_value_that_the_column_cannot_hold_is_a_usage_error_unless_another_version_may_have_it(filled):
    secret = "no-number-of-mine"
    done = filled.calls.datakeep(
        "audit", "orders", "--where", f"customer_id = '{secret}'", "--json", cwd=filled.keep, code=2
    )
    assert done.data["error"]["id"] == "impossible-value"
    assert "orders@v1: customer_id is int64" in done.data["error"]["what"]
    assert secret not in done.out
    # Texts elsewhere may be it: then orders is a "no" that is told.
    data = where(filled, f"customer_id = '{secret}'", code=3)
    assert [(one["version"], one["type"]) for one in data["cannot_hold"]] == [
        ("orders@v1", "int64"),
        ("orders@v2", "int64"),
    ]
    assert data["answer"] == "no"
    shown = filled.calls.datakeep(
        "audit", "--where", f"customer_id = '{secret}'", cwd=filled.keep, code=3
    ).out
    assert "cannot hold such a value, and so have no such row:" in shown
    assert secret not in shown


def test_the_value_is_written_nowhere(filled):
    """Neither by an option nor through standard input, which keeps it out of the shell's history too."""
    secret = "b@x.example"
    aiko = filled.aiko
    before = texts_below(filled)
    shown = aiko.datakeep("audit", "contacts", "--where", "-", cwd=filled.keep, stdin=f"email = '{secret}'\n")
    assert "contacts@v1: 1 row" in shown.out
    assert secret not in shown.out + shown.err
    done = filled.calls.datakeep("audit", "--where", f"email = {secret}", cwd=filled.keep, code=2)
    assert secret not in done.err
    done = filled.calls.datakeep("audit", "contacts", "--where", f"e = '{secret}'", cwd=filled.keep, code=11)
    assert secret not in done.err
    assert texts_below(filled) == before


def texts_below(world):
    """Files of keep, caches and home that hold the value: the vault and what it was registered from apart."""
    folders = (world.keep, world.aiko.caches, world.aiko.home)
    return {
        path for folder in folders for path in folder.rglob("*")
        if path.is_file() and b"b@x.example" in path.read_bytes()
    }  # fmt: skip


@contextmanager
def changed(path, change):
    """The object at ``path`` is another one within the block."""
    saved, mode = path.read_bytes(), path.stat().st_mode
    path.chmod(0o644)
    data = change(saved)
    if data is None:
        path.unlink()
    else:
        path.write_bytes(data)
    try:
        yield
    finally:
        path.write_bytes(saved)
        path.chmod(mode)


def object_of(world, dataset, data):
    md5 = hashlib.md5(data).hexdigest()
    return world.vault / "data" / dataset / "files" / "md5" / md5[:2] / md5[2:]


@pytest.mark.parametrize(
    ("name", "change", "why"),
    [
        ("none.csv", lambda data: data.replace(b"4711", b"4712"), "other bytes than were registered"),
        ("none.csv", lambda data: data[:-3], "15 bytes instead of 18"),
        ("texts.parquet", lambda data: data[:-9], "bytes instead of"),
        ("texts.parquet", lambda data: data[:4] + bytes(len(data) - 8) + data[-4:], "other bytes than were"),
        ("old.csv.gz", lambda data: None, "it is missing in store main"),
    ],
)  # fmt: skip
def test_what_is_damaged_or_missing_is_not_searched_and_never_no(filled, name, change, why):
    mixed = filled.aiko.cwd / "mixed"
    with changed(object_of(filled, "mixed", (mixed / name).read_bytes()), change):
        data = where(filled, "customer_id = -4711", "mixed", code=4)
        (lost,) = data["not_searched"]
        assert lost["version"] == "mixed@v1"
        assert lost["such_as"] == [name]
        assert (data["answer"], data["complete"]) == ("not known", False)
        assert why in lost["why"]
        shown = filled.calls.datakeep(
            "audit", "mixed", "--where", "customer_id = -4711", cwd=filled.keep, code=4
        )
        assert "not found in what was searched, but 1 file was not searched; this is no 'no'" in shown.out
        assert where(filled, "customer_id = 4711")["found"] is True


def test_a_flipped_byte_that_parquet_does_not_notice_is_noticed_with_rehash(filled):
    """Without it the answer says that footers are believed."""
    data = (filled.aiko.cwd / "out-v2" / "data" / "orders-00001.parquet").read_bytes()
    place = object_of(filled, "orders", data)
    with changed(place, lambda data: data[:5000] + bytes([data[5000] ^ 1]) + data[5001:]):
        assert where(filled, "customer_id = 4711", "orders@v2", code=3)["not_searched"] == []
        data = where(filled, "customer_id = 4711", "orders@v2", "--rehash", code=4)
        assert "damaged in store main" in data["not_searched"][0]["why"]
    assert where(filled, "customer_id = 4711", "orders@v2", "--rehash", code=3)["not_searched"] == []


def test_a_clone_searches_what_is_here_and_fetches_when_told_to(filled):
    ken = filled.ken
    ken.run("git", "clone", "-q", filled.vault / "git" / "keeps" / "keep.git", "theirs", cwd=ken.cwd)
    theirs = ken.cwd / "theirs"
    done = ken.datakeep("audit", "--where", "customer_id = 4711", cwd=theirs, code=4)
    assert "nothing was searched, for the reasons below; this is no 'no'" in done.out
    why = r"all \d+ files: its repository is not on this machine"
    assert re.search(rf"\? orders, \d versions \(v1, .*\): {why}", done.out)
    assert "--fetch" in done.out
    data = where(filled, "customer_id = 4711", "--fetch", person=ken, cwd=theirs)
    assert len(files_of(data)) == 6
    assert data["not_searched"] == []
    # Where the share with the store is not mounted, lists of its files are only in checkouts of the keep's own.
    ken.datakeep("checkout", "mixed", cwd=theirs)
    away = filled.vault / "data-away"
    (filled.vault / "data").rename(away)
    try:
        data = where(filled, "customer_id = 4711", person=ken, cwd=theirs)
        assert {name for name, _ in files_of(data)} == {
            "contacts@v1",
            "contacts@v2",
            "features@v1",
            "mixed@v1",
        }
        lost = {one["version"]: one["why"] for one in data["not_searched"]}
        assert set(lost) == {"orders@v1", "orders@v2"}
        assert "is the share mounted?" in lost["orders@v1"]
    finally:
        away.rename(filled.vault / "data")


def test_a_broken_entry_and_a_broken_record_are_said(filled):
    aiko = filled.aiko
    aiko.run("git", "clone", "-q", filled.keep, "broken", cwd=aiko.cwd)
    clone = aiko.cwd / "broken"
    shutil.copytree(filled.keep / ".datakeep", clone / ".datakeep", dirs_exist_ok=True)
    (clone / "register" / "contacts" / "v1.yaml").write_text("format: [")
    (clone / "models" / "first" / "v1.yaml").write_text("format: [")
    aiko.run("git", "commit", "-qam", "broken", cwd=clone)
    data = where(filled, "customer_id = 4711", cwd=clone, code=3)
    edited = {"register/contacts/v1.yaml", "models/first/v1.yaml"}
    assert {one["path"] for one in data["tampered"]} == edited
    # As in every other form, and where the answer is no as well.
    none = where(filled, "customer_id = -1", "mixed", cwd=clone, code=3)
    assert {one["path"] for one in none["tampered"]} == {"models/first/v1.yaml"}
    assert [one["version"] for one in data["not_searched"]] == ["contacts@v1"]
    assert [one["path"] for one in data["broken"]] == ["models/first/v1.yaml"]
    assert ("contacts@v2", "people.csv") in files_of(data)


def test_from_a_bucket_only_what_is_needed_is_fetched(new_world, s3_server):
    with FaultProxy(s3_server.endpoint_url) as proxy:
        place = s3_server.place()
        url = f"s3://{place}?endpoint_url={proxy.endpoint_url}&region=us-east-1"
        world = new_world("--vault-data", url, environment=credentials())
        aiko, keep = world.aiko, world.keep
        calls = world.calls = Quick(aiko, Ran, preload=PRELOADED)
        (aiko.cwd / "q.sql").write_text(QUERY)
        calls.datakeep(
            "register", "orders", "--sql", aiko.cwd / "q.sql", "--database", "duckdb:", "--param", "without=4711",
            "--no-profile", *SQL_FACTS, cwd=keep,
        )  # fmt: skip
        calls.datakeep("register", "plain", world.orders, "--backend", "dvc", *FACTS, cwd=keep)
        data = where(world, "customer_id = 4711", code=4)
        assert {one["why"] for one in data["not_searched"]} == {
            "it is in store main, which is not on this machine"
        }
        before = proxy.sent_bytes
        data = where(world, "customer_id = 4711", "orders", "--fetch", code=3)
        assert data["not_searched"] == []
        assert data["searched"]["row_groups"]["read"] == 0
        assert proxy.sent_bytes - before < 600_000
        data = where(world, "id = 39", "plain", "--fetch")
        assert files_of(data) == {("plain@v1", "train/orders.csv"): 1}
        assert data["searched"]["read_whole"] == 2
        (key,) = (
            one["Key"] for one in s3_server.client().list_objects_v2(
                Bucket=place.partition("/")[0], Prefix=f"{place.partition('/')[2]}/plain/files/md5/"
            )["Contents"] if one["Key"].endswith(md5_key(world.orders / "train" / "orders.csv"))
        )  # fmt: skip
        s3_server.client().put_object(Bucket=place.partition("/")[0], Key=key, Body=b"id,amount\n1,2\n")
        data = where(world, "id = 39", "plain", "--fetch", code=4)
        assert "damaged in store main" in data["not_searched"][0]["why"]
        calls.close()


def md5_key(path):
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    return f"{md5[:2]}/{md5[2:]}"
