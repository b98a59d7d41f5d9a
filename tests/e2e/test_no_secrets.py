"""A password never reaches a file of the keep, a dataset's repository, a store, or what a command prints."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from postgres_server import PASSWORD as DATABASE_PASSWORD
from seen import Quick, error_of, json_error_of, state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postgres_server import PostgresServer
    from world import World

PASSWORD = "hunter2-plant"
TOKEN = "ghp_" + "0123456789" * 4
DATABASE = f"postgresql://plant_ro:{PASSWORD}@dwh.corp.example:5432/plant"
STATED = (
    "--purpose=p", "--origin=o", "--extracted-at=2026-11-20", "--no-annotation=n", "--privacy=no",
    "--license=CC0-1.0", "--access=public",
)  # fmt: skip
#: What the password is written into, and then handed in.
FILES = {
    "q.sql": f"-- run on {DATABASE}\nSELECT 1\n",
    "rules.md": f"Log in with the token {TOKEN}\n",
    "database.yaml": f"source: {{kind: sql, query: clean.sql, database: '{DATABASE}'}}\n",
    "parameters.yaml": f"source: {{kind: files, origin: o, parameters: {{dsn: '{DATABASE}'}}}}\n",
    "broken.yaml": f"source: {{kind: sql, database: '{DATABASE}', query: 3}}\nowner: 7\n",
    "document.yaml": "documents: [{title: t, path: rules.md, describes: d}]\n",
    "own-field.yaml": f"x-note: 'see {DATABASE}'\n",
    "clean.sql": "SELECT 1\n",
    "code/train.py": f"DSN = '{DATABASE}'\n",
    "code/requirements.txt": "",
}
SQL = ("--source-kind=sql", "--query=clean.sql", "--database=postgresql://dwh/p")

CALLS: dict[str, tuple[tuple[str, ...], str]] = {
    "database": (("register", "new", "DATA", *STATED, *SQL[:2], "--database", DATABASE), "source.database"),
    "source-url": (
        ("register", "new", "DATA", *STATED, "--source-url", f"https://h/x?token={PASSWORD}"),
        "source.url",
    ),
    "origin": (("register", "new", "DATA", *STATED, "--origin", f"see {DATABASE}"), "source.origin"),
    "caveat": (("register", "new", "DATA", *STATED, "--caveat", f"key {TOKEN}"), "caveats"),
    "access": (("register", "new", "DATA", *STATED, "--access", f"use {TOKEN}"), "access.how"),
    "incomplete": (("register", "new", "DATA", "--database", DATABASE), "source.database"),
    "query-file": (("register", "new", "DATA", *STATED, *SQL, "--query", "q.sql"), "q.sql, line 1"),
    "rules-file": (
        (
            "register",
            "new",
            "DATA",
            *(word for word in STATED if "annotation" not in word),
            "--annotation-rules=rules.md",
        ),
        "rules.md, line 1",
    ),
    "manifest-database": (
        ("register", "new", "DATA", *STATED, "--manifest=database.yaml"),
        "database.yaml, line 1",
    ),
    "manifest-parameters": (
        ("register", "new", "DATA", *STATED, "--manifest=parameters.yaml"),
        "parameters.yaml",
    ),
    "manifest-broken": (("register", "new", "DATA", *STATED, "--manifest=broken.yaml"), "broken.yaml"),
    "manifest-document": (
        ("register", "new", "DATA", *STATED, "--manifest=document.yaml"),
        "rules.md, line 1",
    ),
    "manifest-own-field": (
        ("register", "new", "DATA", *STATED, "--manifest=own-field.yaml"),
        "own-field.yaml",
    ),
    "update-option": (
        ("update", "orders", "-m", "x", "--source-url", f"https://u:{PASSWORD}@h/"),
        "source.url",
    ),
    "update-message": (("update", "orders", "--purpose=q", "-m", f"from {DATABASE}"), "message"),
    "update-manifest": (("update", "orders", "-m", "x", "--manifest=own-field.yaml"), "own-field.yaml"),
    "training-code": (
        ("reference", "orders", "--code=code", "--command=python train.py", "--expect=a=1"),
        "train.py, line 1",
    ),
    "store": (("vault", "add", "nas", f"https://u:{PASSWORD}@nas/x"), "url"),
    "person": (("people", "add", "--name", f"A {TOKEN}", "--email", "a@corp.example"), "name"),
}


@pytest.fixture(scope="module")
def kept(world: World) -> Iterator[tuple[World, Quick, Path]]:
    """A keep with ``orders``, and a folder with files that hold the password."""
    world.register("orders", "dvc")
    folder = world.aiko.cwd / "secrets"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    calls = Quick(world.aiko, type(world.aiko.run("true")))
    yield world, calls, folder
    calls.close()


@pytest.mark.parametrize("call", CALLS)
def test_a_password_is_refused_with_its_place_and_never_repeated(
    kept: tuple[World, Quick, Path], call: str
) -> None:
    world, calls, folder = kept
    argv, place = CALLS[call]
    words = [str(world.orders) if word == "DATA" else word for word in argv]
    words += ["--backend", "dvc"] if argv[0] == "register" else []
    before = state(world)
    human = calls.datakeep("-C", world.keep, *words, cwd=folder, code=26)
    machine = calls.datakeep("-C", world.keep, *words, "--json", cwd=folder, code=26)
    assert place in error_of(human).what
    assert json_error_of(machine)["id"] == "secret-found"
    for text in (human.err, machine.out, machine.err):
        assert PASSWORD not in text
        assert TOKEN not in text
    assert state(world) == before
    assert traces(world, PASSWORD, TOKEN) == []


def test_an_address_with_a_password_makes_no_keep(world: World, tmp_path: Path) -> None:
    for options in (
        ("--vault-git", f"https://u:{PASSWORD}@git/x"),
        ("--vault-data", f"https://u:{PASSWORD}@nas/x"),
    ):
        ran = world.aiko.datakeep("init", tmp_path / "keep", *options, code=26)
        assert PASSWORD not in ran.err
    assert list(tmp_path.iterdir()) == []


def test_a_user_name_and_a_port_are_no_secrets(kept: tuple[World, Quick, Path]) -> None:
    world, calls, folder = kept
    database = "postgresql://plant_ro@dwh.corp.example:5432/plant?sslmode=require"
    argv = ("register", "clean", world.orders, "--backend", "dvc", *STATED, *SQL[:2], "--database", database)
    calls.datakeep("-C", world.keep, *argv, cwd=folder)
    assert database in calls.datakeep("show", "clean", cwd=world.keep).out


def test_the_machines_own_credentials_reach_no_file(kept: tuple[World, Quick, Path]) -> None:
    """A password in the way to the packages, or in a variable, is not written into proof, card or entry."""
    world, _, _ = kept
    world.aiko.extra |= {
        "UV_INDEX": f"https://u:{PASSWORD}@127.0.0.1:1/simple",
        "AWS_SECRET_ACCESS_KEY": TOKEN,
    }
    try:
        world.reference("orders")
        ran = world.aiko.datakeep("verify", "orders", cwd=world.keep, code=None)
    finally:
        world.aiko.extra.clear()
    assert ran.code in (0, 3), ran.err
    assert PASSWORD not in ran.out + ran.err
    (proof,) = world.keep.glob("proofs/orders/v2/*.dsse.json")
    payload = base64.b64decode(json.loads(proof.read_bytes())["payload"])
    assert b"127.0.0.1" in payload  # the index is named ...
    assert PASSWORD.encode() not in payload  # ... without its password
    assert traces(world, PASSWORD, TOKEN) == []


def test_a_password_in_what_a_database_says_of_itself_is_withheld(
    kept: tuple[World, Quick, Path], postgres: PostgresServer
) -> None:
    """The very password that opens it, bare in comments and in a view, from the URL and from the password file."""
    world, calls, folder = kept
    view = f"SELECT 1 AS id, 'pw {DATABASE_PASSWORD}'::text AS said"
    with postgres.connect() as connection:
        connection.execute(f"CREATE VIEW public.leaky AS {view}")
        connection.execute(f"COMMENT ON VIEW public.leaky IS 'log in with {DATABASE_PASSWORD}'")
        connection.execute(f"COMMENT ON COLUMN public.leaky.id IS 'the key; {DATABASE_PASSWORD}'")
    (folder / "leaky.sql").write_text("SELECT id FROM public.leaky ORDER BY id")
    escaped = DATABASE_PASSWORD.replace(":", "\\:")
    file = world.aiko.home / ".pgpass"
    argv = ("-C", world.keep, "register", "--sql=leaky.sql", "--backend=dvc", *STATED[:1], *STATED[3:])
    try:
        for name, url in {"by-url": postgres.url(), "by-file": postgres.url(password=None)}.items():
            if name == "by-file":
                file.write_text(f"127.0.0.1:*:*:*:{escaped}\n")
                file.chmod(0o600)
            calls.datakeep(*argv, name, "--database", url, cwd=folder)
            entry = (world.keep / "register" / name / "v1.yaml").read_text()
            # Of the view its comment and definition; of the column what it means, as it was and as it is said.
            assert entry.count("(withheld: it holds the password of the database)") == 4
    finally:
        file.unlink(missing_ok=True)
        with postgres.connect() as connection:
            connection.execute("DROP VIEW public.leaky")
    assert traces(world, DATABASE_PASSWORD) == []


def traces(world: World, *secrets: str) -> list[str]:
    """Every place that holds one of ``secrets``: files, git objects, the caches of keep and person."""
    needles = [secret.encode() for secret in secrets]
    found = []
    places = (world.keep, world.vault, world.aiko.home, world.ken.home)
    for folder in places:
        for root, _, leaves in os.walk(folder):
            for leaf in leaves:
                data = Path(root, leaf).read_bytes()
                found += [f"{root}/{leaf}" for needle in needles if needle in data]
    repositories = [
        *world.vault.glob("git/*/*.git"),
        *world.keep.glob(".datakeep/**/*.git"),
        world.keep / ".git",
    ]
    for repository in repositories:
        found += [f"an object of {repository}" for needle in needles if needle in objects(repository)]
    return found


def objects(repository: Path) -> bytes:
    """All objects of a repository, those that nothing refers to as well."""
    argv = ["git", f"--git-dir={repository}", "cat-file", "--batch-all-objects", "--batch"]
    return subprocess.run(argv, capture_output=True, check=True).stdout
