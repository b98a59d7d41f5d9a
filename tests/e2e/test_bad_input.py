"""Whatever a user gets wrong: one clear error, its documented exit code, and nothing lost."""

from __future__ import annotations

import json
import os
import shutil
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from seen import Quick, error_of, json_error_of, state

from datakeep.core.errors import families

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from world import World

LONG = "a" * 300
NFD = unicodedata.normalize("NFD", "が")
#: Stable id to documented exit code.
CODES = {kind.id(): kind.exit_code for family in families() for kind in (family, *family.__subclasses__())}
#: States all that the policy requires, briefly.
STATED = (
    "--purpose=p", "--origin=o", "--extracted-at=2026-11-20", "--no-annotation=n", "--privacy=no",
    "--license=CC0-1.0", "--access=public",
)  # fmt: skip


@pytest.fixture(scope="module")
def kept(world: World) -> World:
    """A keep with one dataset, ``orders@v1``."""
    world.register("orders", "git")
    return world


@pytest.fixture(scope="module")
def quick(kept: World) -> Iterator[Quick]:
    calls = Quick(kept.aiko, type(kept.aiko.run("true")))
    yield calls
    calls.close()


@pytest.fixture(scope="module")
def before(kept: World) -> dict[str, Any]:
    return state(kept)


def put(folder: Path, files: dict[str, str | bytes]) -> Path:
    """A folder ``source`` with these files, in ``folder``."""
    source = folder / "source"
    source.mkdir(exist_ok=True)
    for name, data in files.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(data.encode() if isinstance(data, str) else data)
    return source


@dataclass(frozen=True)
class Case:
    """A call, and what must be said of it.

    Args:
        id: The test's name.
        argv: The call, made in ``(world, folder of the test)``.
        error: The stable id in ``--json``; the exit code is its family's.
        said: What the error must say.
        cwd: The folder that it is made in, below the keep.
    """

    id: str
    argv: Callable[[World, Path], list[str | Path]]
    error: str
    said: tuple[str, ...]
    cwd: Callable[[World, Path], Path] = lambda world, here: world.keep


def asks(*argv: str) -> Callable[[World, Path], list[str | Path]]:
    return lambda world, here: [*argv]


def registers(
    make: Callable[[Path], Path | list[Path]], *options: str
) -> Callable[[World, Path], list[str | Path]]:
    """``register new SOURCE…`` of what ``make`` makes."""

    def argv(world: World, here: Path) -> list[str | Path]:
        made = make(here)
        sources = made if isinstance(made, list) else [made]
        return ["register", "new", *sources, "--backend", "dvc", *STATED, *options]

    return argv


def states(text: str, *options: str) -> Callable[[World, Path], list[str | Path]]:
    """``register new`` with a manifest of this text."""

    def argv(world: World, here: Path) -> list[str | Path]:
        (here / "m.yaml").write_text(text, "utf-8")
        return [
            "register",
            "new",
            world.orders,
            "--backend",
            "dvc",
            *STATED,
            *options,
            "--manifest",
            here / "m.yaml",
        ]

    return argv


def named(name: str) -> Callable[[World, Path], list[str | Path]]:
    return lambda world, here: ["register", name, world.orders, "--backend", "git", *STATED]


def deep(here: Path) -> Path:
    """A file whose path is longer than any program can open at once."""
    source = here / "source"
    source.mkdir()
    last = os.open(source, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 220, dir_fd=last)
        last, old = os.open("d" * 220, os.O_RDONLY, dir_fd=last), last
        os.close(old)
    os.close(os.open("x", os.O_CREAT | os.O_WRONLY, dir_fd=last))
    os.close(last)
    return source


UNKNOWN = [
    Case(f"unknown-dataset-{words[0]}", asks(*words), "unknown-name", ("'ordrs'", "did you mean 'orders'?"))
    for words in (
        ("show", "ordrs"),
        ("log", "ordrs"),
        ("diff", "ordrs"),
        ("status", "ordrs"),
        ("checkout", "ordrs"),
        ("verify", "ordrs"),
        ("update", "ordrs", "-m", "x"),
        ("audit", "ordrs"),
        ("reference", "ordrs", "--code", ".", "--command", "true"),
    )
]
UNKNOWN += [
    Case(
        f"unknown-version-{words[0]}",
        asks(*words),
        "unknown-name",
        ("no version v7", "it has v1"),
    )
    for words in (("show", "orders@v7"), ("checkout", "orders@v7"), ("diff", "orders@v1", "orders@v7"))
]
UNKNOWN += [
    Case(
        "no-version",
        asks("show", "orders@latest"),
        "usage-error",
        ("'latest' is not a version", "v1"),
    ),
    Case(
        "unknown-person",
        asks("people", "depart", "aik"),
        "unknown-name",
        ("did you mean 'aiko'?",),
    ),
    Case("unknown-model", asks("audit", "model:churn"), "unknown-name", ("no model 'churn'",)),
    Case("unknown-kind", asks("schema", "datset"), "unknown-name", ("did you mean 'dataset'?",)),
]

NAMES = [
    Case(f"name-{label}", named(name), "usage-error", said)
    for label, name, said in (
        ("spaces", "my orders", ("'my orders'", "'my-orders'")),
        ("slash", "my/orders", ("'my/orders'", "'my-orders'")),
        ("dots", "../orders", ("'../orders'",)),
        ("japanese", "受注", ("'受注'", "a-z, 0-9 and '-'")),
        ("nfd", NFD, (f"'{NFD}'",)),
        ("300", LONG, ("aaa…'", "at most 100 characters")),
        ("empty", "", ("''",)),
        ("upper", "Orders", ("'orders'",)),
    )
]

SOURCES = [
    Case(
        "source-missing",
        registers(lambda here: Path("nothere")),
        "source-missing",
        ("'nothere'", "does not exist in", "your folder"),
    ),
    Case("source-name-300", registers(lambda here: here / LONG), "source-missing", ("does not exist",)),
    Case("source-empty", registers(lambda here: put(here, {})), "source-empty", ("holds no file",)),
    Case(
        "source-in-keep",
        lambda world, here: ["register", "new", world.keep / "people", "--backend", "git", *STATED],
        "source-fault",
        ("inside the keep",),
    ),
    Case(
        "source-holds-keep",
        lambda world, here: ["register", "new", world.aiko.cwd, "--backend", "git", *STATED],
        "source-fault",
        ("a folder that holds the keep",),
    ),
    Case(
        "two-folders",
        registers(lambda here: [put(here, {"a": "1"}), here]),
        "usage-error",
        ("one folder, or one or more files",),
    ),
    Case(
        "same-name-twice",
        registers(lambda here: [put(here, {"a": "1", "b/a": "2"}) / "a", here / "source/b/a"]),
        "unsafe-path",
        ("same name",),
    ),
    Case("path-too-long", registers(deep), "unsafe-path", ("is longer than", "shorten it")),
]

FILES = [
    Case(f"file-{label}", registers(lambda here, files=files: put(here, files)), "unsafe-path", said)
    for label, files, said in (
        ("nfd", {f"{NFD}.txt": "x"}, (f"'{NFD}.txt'", "NFC", "--normalise-names")),
        ("case", {"A.txt": "1", "a.txt": "2"}, ("'a.txt'", "'A.txt'", "ignores case")),
        ("case-of-folders", {"Straße/a": "1", "STRASSE/b": "2"}, ("'Straße'", "'STRASSE'")),
        ("control", {"a\nb": "1"}, ("'a\\nb'", "control character")),
        ("git", {".git/config": "x", "a": "1"}, ("'.git", "git's or DVC's own")),
        ("dvcignore", {"sub/.dvcignore": "*", "a": "1"}, ("'sub/.dvcignore'",)),
    )
]

MALFORMED = [
    Case(
        f"csv-{label}",
        registers(lambda here, data=data: put(here, {"x.csv": data})),
        "source-malformed",
        ("x.csv, line", *said),
    )
    for label, data, said in (
        ("binary", b"\x7fELF\x00\x01\x02" * 40, ("not a CSV", "NUL bytes")),
        ("ragged", "a,b\n1,2\n1,2,3\n", ("3 fields where the header has 2",)),
        ("open-quote", 'a,b\n1,2\n"open,3\n4,5\n', ("a quoted field begins",)),
    )
]
MALFORMED += [
    Case(
        "parquet",
        registers(lambda here: put(here, {"x.parquet": "not so"})),
        "source-malformed",
        ("x.parquet is not whole Parquet",),
    ),
]

MANIFESTS = [
    Case("manifest-wrong-type", states("purpose: 3\n"), "invalid-file", ("m.yaml", "purpose:", "it is 3")),
    Case(
        "manifest-wrong-nested",
        states("source: {kind: sqll}\n"),
        "invalid-file",
        ("source.kind", "'sql'", "'sqll'"),
    ),
    Case("manifest-all-faults", states("purpose: 3\nlicense: []\n"), "invalid-file", ("purpose", "license")),
    Case("manifest-typo", states("purpos: x\n"), "misspelled-field", ("'purpos'", "did you mean 'purpose'?")),
    Case(
        "manifest-nested-typo",
        states("source: {kind: files, origin: x, extractd_at: 2026-11-20}\n"),
        "misspelled-field",
        ("'source.extractd_at'", "did you mean 'extracted_at'?"),
    ),
    Case(
        "manifest-key-typo",
        states("owner: {name: A, e-mail: a@b.example}\n"),
        "invalid-file",
        ("owner.email", "'e-mail'"),
    ),
    Case("manifest-not-yaml", states("a: [\n"), "invalid-file", ("not valid YAML, line 2",)),
    Case("manifest-empty", states(""), "invalid-file", ("holds nothing",)),
    Case(
        "manifest-newer",
        states("format: datakeep/dataset/2\n"),
        "unknown-format",
        ("newer than this datakeep reads",),
    ),
    Case(
        "manifest-of-keep",
        states("format: datakeep/keep/1\n"),
        "unknown-format",
        ("'datakeep/dataset/1' is needed",),
    ),
    Case(
        "manifest-of-another",
        states("name: other\n"),
        "usage-error",
        ("the manifest of 'other', not of 'new'",),
    ),
    Case(
        "manifest-names-outside",
        states("documents: [{title: t, path: ../../etc/passwd, describes: d}]\n"),
        "invalid-file",
        ("documents[0].path", "'..'"),
    ),
    Case(
        "manifest-names-missing",
        states("documents: [{title: t, path: docs/a.md, describes: d}]\n"),
        "invalid-file",
        ("docs/a.md", "not beside it"),
    ),
    Case(
        "manifest-missing",
        registers(lambda here: put(here, {"a": "1"}), "--manifest", "nothere.yaml"),
        "source-missing",
        ("nothere.yaml is not there",),
    ),
    Case(
        "manifest-folder",
        registers(lambda here: put(here, {"a": "1"}), "--manifest", "."),
        "source-missing",
        ("is a folder",),
    ),
    Case(
        "password",
        states("source: {kind: sql, query: q.sql, database: 'postgresql://u:hunter2@dwh/p'}\n"),
        "secret-found",
        ("m.yaml, line 1", "password in the URL of dwh"),
    ),
]

OPTIONS = [
    Case(
        "person",
        registers(lambda here: put(here, {"a": "1"}), "--owner", "Aiko"),
        "usage-error",
        ("--owner 'Aiko' is not a person", "<aiko@corp.example>"),
    ),
    Case(
        "date",
        registers(lambda here: put(here, {"a": "1"}), "--extracted-at", "yesterday"),
        "usage-error",
        ("--extracted-at 'yesterday' is no day", "write --extracted-at YYYY-MM-DD"),
    ),
    Case(
        "not-utf8",
        registers(lambda here: put(here, {"a": "1"}), "--title", os.fsdecode(b"caf\xe9")),
        "invalid-file",
        ("title", "not UTF-8"),
    ),
    Case(
        "terminal-codes",
        registers(lambda here: put(here, {"a": "1"}), "--title", "\x1b[2J"),
        "invalid-file",
        ("title", "control character"),
    ),
    Case(
        "alias",
        registers(lambda here: put(here, {"a": "1"}), "--alias", "old orders"),
        "usage-error",
        ("'old orders'",),
    ),
    Case(
        "alias-taken",
        registers(lambda here: put(here, {"a": "1"}), "--alias", "orders"),
        "already-exists",
        ("'orders'", "it means the dataset orders"),
    ),
    Case(
        "both-annotations",
        registers(lambda here: put(here, {"a": "1"}), "--annotation-rules", "README.md"),
        "usage-error",
        ("exclude each other",),
    ),
    Case(
        "taken",
        lambda world, here: ["register", "orders", put(here, {"a": "1"}), "--backend", "git", *STATED],
        "already-exists",
        ("registered already, as v1", "datakeep update orders"),
    ),
    Case(
        "no-backend",
        lambda world, here: ["register", "new", world.orders, *STATED],
        "usage-error",
        ("--backend git", "--backend dvc"),
    ),
    Case("no-reason", asks("update", "orders", "--purpose", "q", "-m", " "), "usage-error", ("-m WHY",)),
    Case(
        "secret-reason",
        asks("update", "orders", "--purpose", "q", "-m", "see https://u:hunter2@wiki"),
        "secret-found",
        ("message", "password in the URL of wiki"),
    ),
    Case(
        "no-keep",
        asks("list"),
        "not-a-keep",
        ("is not in a keep", "datakeep init"),
        cwd=lambda world, here: here,
    ),
    Case("no-keep-C", lambda world, here: ["-C", here, "list"], "not-a-keep", ("is not in a keep", "-C DIR")),
]

CASES = [*UNKNOWN, *NAMES, *SOURCES, *FILES, *MALFORMED, *MANIFESTS, *OPTIONS]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_one_clear_error_and_nothing_lost(
    kept: World, quick: Quick, before: dict[str, Any], tmp_path: Path, case: Case
) -> None:
    argv, cwd = case.argv(kept, tmp_path), case.cwd(kept, tmp_path)
    human = quick.datakeep(*argv, cwd=cwd, code=None)
    machine = quick.datakeep(*argv, "--json", cwd=cwd, code=None)
    said = error_of(human)
    error = json_error_of(machine)
    assert human.code == machine.code == CODES[case.error]
    assert error["id"] == case.error
    for text in case.said:
        assert text in said.text
        assert text in "\n".join((error["what"], *error["things"], error["next"]))
    assert "hunter2" not in human.err + machine.out + machine.err
    assert state(kept) == before


def test_no_git_identity(kept: World, before: dict[str, Any], tmp_path: Path) -> None:
    nobody = type(kept.aiko)("x", "x", tmp_path / "home", kept.aiko.caches, tmp_path / "work")
    (nobody.home / ".gitconfig").unlink()
    for argv in (
        ["register", "new", kept.orders, "--backend", "git", *STATED],
        ["update", "orders", "--purpose", "q", "-m", "x"],
        ["people", "add"],
        ["init", tmp_path / "other"],
    ):
        ran = nobody.datakeep(*argv, cwd=kept.keep, code=CODES["no-identity"])
        assert "git does not know who you are" in error_of(ran).what
        assert "git config --global user.name" in error_of(ran).next_step
    assert not (tmp_path / "other").exists()
    assert state(kept) == before
    assert nobody.datakeep("list", cwd=kept.keep).out.startswith("NAME")


def test_unreadable_files_are_all_named_and_none_is_skipped(
    kept: World, before: dict[str, Any], tmp_path: Path
) -> None:
    source = put(tmp_path, {"good.txt": "1", "secret/a.txt": "2", "b.txt": "3"})
    (source / "b.txt").chmod(0)
    (source / "secret").chmod(0)
    argv = ["register", "new", str(source), "--backend", "dvc", *STATED]
    ran = kept.aiko.run(
        *without_rights(), "python", "-m", "datakeep", *argv, cwd=kept.keep, code=CODES["source-unreadable"]
    )
    said = error_of(ran)
    assert said.what.startswith("2 files of the source cannot be read")
    assert any("b.txt" in thing for thing in said.things)
    assert any("secret" in thing for thing in said.things)
    (source / "secret").chmod(0o755)
    assert state(kept) == before


def without_rights() -> list[str]:
    """A prefix after which modes of files count, for root too: its capabilities are dropped."""
    if os.geteuid() != 0:
        return []
    assert shutil.which("setpriv"), "setpriv (util-linux) is missing"
    caps = "-dac_override,-dac_read_search"
    return ["setpriv", f"--bounding-set={caps}", f"--inh-caps={caps}", "--"]


@pytest.mark.parametrize("encoding", ["shift_jis", "utf-16", "utf-8-sig", "euc_jp"])
def test_real_csvs_of_other_encodings_are_fine(kept: World, tmp_path: Path, encoding: str) -> None:
    text = "商品,数量,発注日\n" + "ねじ,12,2026-11-01\n歯車,7,2026-11-02\n" * 3
    source = put(tmp_path, {"受注.csv": text.encode(encoding)})
    name = f"csv-{encoding.replace('_', '-')}"
    argv = ["register", name, source, "--backend", "dvc", *STATED]
    kept.aiko.datakeep(*argv, cwd=kept.keep)
    shown = kept.aiko.datakeep("show", name, "--json", cwd=kept.keep).data["entry"]["manifest"]
    assert [column["name"] for column in shown["columns"]] == ["商品", "数量", "発注日"]
    assert shown["contents"]["rows"] == 6


def test_a_lone_nfd_name_has_a_way_out(kept: World, tmp_path: Path) -> None:
    source = put(tmp_path, {f"{NFD}.txt": "x"})
    argv = ["register", "nfd", source, "--backend", "dvc", *STATED, "--normalise-names"]
    kept.aiko.datakeep(*argv, cwd=kept.keep)
    out = tmp_path / "out"
    kept.aiko.datakeep("checkout", "nfd", out, cwd=kept.keep)
    assert [path.name for path in (out / "data").iterdir()] == ["が.txt"]


def test_names_of_255_bytes_with_spaces_and_japanese_are_fine(kept: World, tmp_path: Path) -> None:
    files = {"注" * 83 + ".txt": "1", "a" * 255: "2", "with space/と 空白.txt": "3", "#%'\"$(x).txt": "4"}
    kept.aiko.datakeep("register", "odd", put(tmp_path, files), "--backend", "dvc", *STATED, cwd=kept.keep)
    out = tmp_path / "out"
    kept.aiko.datakeep("checkout", "odd", out, cwd=kept.keep)
    found = {
        path.relative_to(out / "data").as_posix() for path in (out / "data").rglob("*") if path.is_file()
    }
    assert found == set(files)


def test_a_fault_of_ours_is_said_to_be_one(kept: World) -> None:
    """The last wall: without it, a traceback and nothing to do."""
    code = (
        "import sys, datakeep.workflows.listing as l\n"
        "def broken(*a, **k): raise ZeroDivisionError('boom')\n"
        "l.list_datasets = broken\n"
        "from datakeep.cli.boundary import run\n"
        "sys.exit(run(sys.argv[1:]))\n"
    )
    ran = kept.aiko.run("python", "-c", code, "list", "--json", cwd=kept.keep, code=1)
    error = json.loads(ran.out)["error"]
    assert error["id"] == "fault"
    assert "ZeroDivisionError: boom" in error["what"]
