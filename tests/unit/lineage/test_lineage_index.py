"""The index equals one made from nothing, whatever happened before; a broken file or database takes nothing away."""

from __future__ import annotations

import hashlib
import sqlite3
import threading

import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st

from datakeep.formats import yaml
from datakeep.lineage import index as index_module
from datakeep.lineage import schema
from datakeep.lineage.committed import folded
from datakeep.lineage.index import Index
from datakeep.lineage.search import search

DATASET = {
    "format": "datakeep/version/1",
    "repository": "ssh://git/x.git",
    "commit": "4f" * 20,
    "inventory": f"sha256:{'88' * 32}",
    "files": 1,
    "size_bytes": 1,
    "stores": [],
    "registered_at": "2026-11-20T03:10:00Z",
    "registered_by": "aiko@corp.example",
    "message": "m",
}


def entry(name="orders", number=1, bytes_of=None, **manifest) -> bytes:
    content = hashlib.sha256((bytes_of or f"{name}@v{number}").encode()).hexdigest()
    fields = DATASET | {"dataset": name, "version": f"v{number}", "manifest": {"name": name, **manifest}}
    fields |= {"content": f"sha256:{content}"}
    return yaml.dump(fields).encode()


def model(
    name="churn",
    number=1,
    sha256="ab" * 32,
    inputs=("orders@v1",),
    bases=(),
    file="m.joblib",
    undeclared=(),
    size=3,
    recorded_at=None,
) -> bytes:
    given = [
        {
            "dataset": one.split("@")[0],
            "version": one.partition("@")[2] or "newest",
            "commit": "4f" * 20,
            "content": f"sha256:{'77' * 32}",
            "how": "observed",
        }
        for one in inputs
    ]
    fields = {
        "format": "datakeep/model/1",
        "model": name,
        "version": f"v{number}",
        "artifacts": [{"path": file, "sha256": sha256, "size_bytes": size}],
        "inputs": given,
        "base_models": list(bases),
        "undeclared": list(undeclared),
        "code": {},
        "command": ["x"],
        "environment": {"kind": "uv"},
        "resources": {},
        "origin": "run",
    }
    return yaml.dump(fields | ({"recorded_at": recorded_at} if recorded_at else {})).encode()


class Repository:
    """The files of a keep in memory, with a history: what a commit had, and what was read."""

    def __init__(self) -> None:
        self.commits: dict[str, dict[str, bytes]] = {}
        self.read: list[str] = []
        self.commit: str | None = None

    def at(self, files: dict[str, bytes]) -> Repository:
        self.commit = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        self.commits[self.commit] = dict(files)
        return self

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits.get(self.commit or "", {})

    def object_ids(self, prefixes):
        return {path: _id(data) for path, data in self.files.items() if path.startswith(tuple(prefixes))}

    def changed_since(self, commit, prefixes):
        if commit not in self.commits:
            return None
        old, new = self.commits[commit], self.files
        return {
            path: _id(new[path]) if path in new else None
            for path in {*old, *new}
            if old.get(path) != new.get(path) and path.startswith(tuple(prefixes))
        }

    def read_objects(self, object_ids):
        self.read += object_ids
        known = {_id(data): data for files in self.commits.values() for data in files.values()}
        return {one: known[one] for one in object_ids if one in known}


def _id(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


def opened(path, repository) -> Index:
    return Index.open(path, repository, starting=lambda count: None)


def contents(index: Index) -> dict[str, list]:
    """All that the index says, without the numbers that it gave rows."""
    tables = {
        "entry": "*", "version": "*", "artifact": "*", "leads": "*", "lost": "*", "wanting": "*", "word": "*",
        "doc": "kind, name, field, number, text, folded", "shape": "name, folded", "wanted": "*",
        "undeclared": "*",
    }  # fmt: skip
    said = {
        table: sorted(map(repr, index.database.execute(f"SELECT {columns} FROM {table}")))
        for table, columns in tables.items()
    }
    for table, column, of in (("doc_text", "folded", "doc.folded"), ("word_text", "word", "word.word")):
        owner = of.split(".")[0]
        key = "id" if owner == "doc" else "rowid"
        query = (
            f"SELECT {of} FROM {table} JOIN {owner} ON {owner}.{key} = {table}.rowid "
            f"WHERE {table}.{column} = {of}"
        )
        said[table] = sorted(map(repr, index.database.execute(query)))
        said[f"{table} rows"] = index.database.execute(f"SELECT count(*) FROM {table}").fetchall()
    return said


def names(index: Index, *asked: str) -> list[str]:
    kinds = ("dataset", "model", "person")
    return [hit.name for hit in search(index.database, asked, kinds).hits]


FILES = {
    "register/orders/v1.yaml": entry(title="Orders of 2026", aliases=["sales"]),
    "register/orders/v2.yaml": entry(number=2, title="Orders again"),
    "register/pumps/v1.yaml": entry("pumps", columns=[{"name": "rpm", "meaning": "軸の回転数"}]),
    "models/churn/v1.yaml": model(undeclared=[{"path": "/x/a.csv", "size_bytes": 1, "sha256": "cd" * 32}]),
    "people/aiko.yaml": yaml.dump(
        {
            "format": "datakeep/person/1",
            "name": "Aiko Tanaka",
            "email": "aiko@corp.example",
            "keys": [],
            "departed": None,
        }
    ).encode(),
    "proofs/orders/v1/2026-ken.dsse.json": b"{}",
    "keep.yaml": b"not for the index",
}


def test_only_what_changed_is_read_again(tmp_path):
    repository = Repository().at(FILES)
    opened(tmp_path / "i", repository).close()
    repository.read.clear()
    opened(tmp_path / "i", repository).close()
    assert repository.read == []
    new = model(number=2)
    opened(tmp_path / "i", repository.at(FILES | {"models/churn/v2.yaml": new})).close()
    assert repository.read == [_id(new)]


_PATHS = [
    *(f"register/{name}/v{number}.yaml" for name in ("a", "b") for number in (1, 2)),
    *(f"models/m/v{number}.yaml" for number in (1, 2)),
    "people/ken.yaml",
    "models/m/notes.txt",
]


def _made(path: str, seed: int) -> bytes:
    if seed % 4 == 0:
        return b"format: [" if seed % 8 else b"\xff\xfe"
    folder, name, *rest = path.removesuffix(".yaml").split("/")
    number = int(rest[0][1:]) if rest and rest[0].startswith("v") else 1
    if folder == "register":
        source = {"kind": "derived", "parents": ["a@v1"], **({"query": "q.sql"} if seed % 3 else {})}
        aliases = ["old"] if seed % 5 == 1 else []
        return entry(name, number, title=f"title {seed % 3}", source=source, aliases=aliases)
    if folder == "models":
        bases = [["base@v1"], ["m@v1"], []][seed % 3]
        inputs = [["a@v1", "b"], ["old@v1"], ["gone@v2", "b@v2"]][seed % 3]
        return model(name, number, sha256=f"{seed % 3:064x}", inputs=inputs, bases=bases)
    return b"format: datakeep/person/1\nname: Ken\nemail: ken@corp.example\nkeys: []\n"


_STATES = st.dictionaries(st.sampled_from(_PATHS), st.integers(0, 20), max_size=6)


@given(states=st.lists(st.tuples(_STATES, st.booleans()), min_size=1, max_size=5))
@settings(max_examples=12, deadline=None)
def test_after_any_commits_it_equals_one_made_from_nothing(tmp_path_factory, states):
    path = tmp_path_factory.mktemp("random") / "i"
    repository = Repository()
    for state, forgotten in states:
        if forgotten:  # as after a branch was moved by force, and the old commit collected
            repository.commits.clear()
        repository.at({one: _made(one, seed) for one, seed in state.items()})
        index = opened(path, repository)
        fresh = opened(None, repository)
        assert contents(index) == contents(fresh)
        index.close()
        fresh.close()


def test_a_deleted_damaged_or_older_index_is_made_anew(tmp_path):
    path, repository = tmp_path / "i", Repository().at(FILES)
    index = opened(path, repository)
    expected = contents(index)
    index.close()
    for damage in ("delete", "garbage", "cut", "empty", "older", "half"):
        if damage == "delete":
            schema.remove(path)
        elif damage in ("older", "half"):
            with sqlite3.connect(path) as database:
                database.execute("DROP TABLE meta" if damage == "half" else "UPDATE meta SET value = '0'")
            database.close()
        else:
            data = path.read_bytes()
            path.write_bytes({"garbage": b"x" * 5000, "cut": data[: len(data) // 3], "empty": b""}[damage])
        index = opened(path, repository.at(FILES | {"models/churn/v9.yaml": model(number=9)}))
        index.close()
        index = opened(path, repository.at(FILES))
        assert index.temporary is None, damage
        assert contents(index) == expected, damage
        index.close()


def test_where_nothing_can_be_kept_the_question_is_answered_all_the_same(tmp_path):
    repository = Repository().at(FILES)
    (tmp_path / "file").write_text("")
    for path in (None, tmp_path / "file" / "i"):
        index = opened(path, repository)
        assert index.temporary
        assert names(index, "orders") == ["orders", "churn"]
        index.close()


def test_a_locked_index_is_not_waited_for_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(index_module, "_LOCK_S", 0.1)
    monkeypatch.setattr(schema, "_BUSY_S", 0.1)
    path, repository = tmp_path / "i", Repository().at(FILES)
    with FileLock(tmp_path / "i.lock"):
        index = opened(path, repository)
    assert index.temporary == "another process is making it"
    assert names(index, "rpm") == ["pumps"]
    opened(path, repository).close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    index = opened(path, repository.at(FILES | {"models/churn/v2.yaml": model(number=2)}))
    assert index.temporary
    assert index.entry("models/churn/v2.yaml") is not None
    other.close()


def test_two_at_once_both_answer(tmp_path):
    path, answers = tmp_path / "i", []

    def one() -> None:
        index = opened(path, Repository().at(FILES))
        answers.append(contents(index))
        index.close()

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 4
    assert all(answer == answers[0] for answer in answers)


def test_broken_files_are_there_as_broken_and_hide_nothing(tmp_path):
    bad = {f"register/bad-{number}/v1.yaml": b"format: [" for number in range(100)}
    index = opened(tmp_path / "i", Repository().at(FILES | bad | {"models/other/v1.yaml": model("churn")}))
    assert len(index.broken("dataset")) == 100
    assert index.broken("model") == [
        ("models/other/v1.yaml", "models/other/v1.yaml says that it is churn@v1")
    ]
    assert names(index, "orders") == ["orders", "churn"]
    assert "bad-7" in names(index, "bad-7")


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (["sales"], ["orders"]),
        (["SALES"], ["orders"]),
        (["ｏｒｄｅｒｓ", "again"], ["orders"]),
        (["回転"], ["pumps"]),
        (["軸の回転数"], ["pumps"]),
        (["rpm"], ["pumps"]),
        (["pupms"], ["pumps"]),
        (["tanaka"], ["aiko"]),
        (["orders", "rpm"], []),
        (['"'], []),
        (["NOT"], []),
        (["a*"], []),
        (["orders of 2026"], ["orders"]),
    ],
)
def test_words_are_found_in_any_script_with_a_typo_and_together(tmp_path, asked, expected):
    index = opened(tmp_path / "i", Repository().at(FILES))
    assert names(index, *asked) == expected


@given(
    texts=st.lists(st.text('ab受注 "*-_é', min_size=1, max_size=6).filter(str.strip), max_size=20),
    asked=st.text('ab受注"*-_é', min_size=2, max_size=2),
)
@settings(max_examples=30, deadline=None)
def test_two_characters_are_found_wherever_they_are(texts, asked):
    files = {
        f"register/d{number}/v1.yaml": entry(f"d{number}", title=text) for number, text in enumerate(texts)
    }
    index = opened(None, Repository().at(files))
    found = search(index.database, [asked], ["dataset"]).hits
    expected = {f"d{number}" for number, text in enumerate(texts) if folded(asked) in folded(text.strip())}
    assert {hit.name for hit in found if hit.matches[0].meant is None} == expected
    index.close()


def test_a_hit_says_where_and_until_which_version(tmp_path):
    index = opened(tmp_path / "i", Repository().at(FILES))
    (hit,) = search(index.database, ["2026"], ["dataset"]).hits
    assert [(one.field, one.text, one.number) for one in hit.matches] == [("title", "Orders of 2026", 1)]
    result = search(index.database, ["ordrx", "zzz"], ["dataset"])
    assert "orders" in result.near.get("ordrx", ()) or result.alone.get("ordrx")
    assert result.near["zzz"] == ()


def test_folding_is_of_case_and_width_only():
    assert folded("ＯＲＤＥＲ") == "order"
    assert folded("注文") == "注文"
