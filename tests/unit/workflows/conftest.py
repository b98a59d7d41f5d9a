"""Keeps made in this process, for what asks about them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from datakeep import attest
from datakeep.core.progress import Silent
from datakeep.formats import proof
from datakeep.repository.identity import Identity
from datakeep.repository.keep import Change
from datakeep.workflows import init, people
from datakeep.workflows.keep import open_keep
from datakeep.workflows.register import Request, register
from datakeep.workflows.update import update

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
AIKO = Identity("Aiko Tanaka", "aiko@corp.example")
KEN = Identity("Ken Sato", "ken@corp.example")
FACTS = {
    "purpose": "test",
    "source.origin": "made by a test",
    "source.extracted_at": "2026-11-20",
    "annotation.none": "nothing to label",
    "privacy.personal": "unknown",
    "license": "CC0-1.0",
    "access.how": "it is public",
}


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """An open keep, a source folder, and the ways to fill and change it."""
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(f"[user]\n\tname = {AIKO.name}\n\temail = {AIKO.email}\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(home / ".gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    return Bench(tmp_path)


class Bench:
    """One keep with its default vault, and a source of three files, two of them equal."""

    now = NOW
    aiko = AIKO

    def __init__(self, folder) -> None:
        self.folder = folder
        made = init.init(
            folder / "keep", name=None, vault_git=None, vault_data=(), who=AIKO, now=NOW - timedelta(days=9),
            progress=Silent(),
        )  # fmt: skip
        self.keep = made.keep
        self.store = folder / "keep.vault" / "data"
        self.source = folder / "source"
        (self.source / "画像").mkdir(parents=True)
        (self.source / "a.txt").write_text("alpha")
        (self.source / "same.txt").write_text("alpha")
        (self.source / "画像" / "一.txt").write_text("壱")
        self.signers = {}

    def register(self, name="orders", backend="dvc", *, source=None, now=NOW, **given):
        stated = {**FACTS, **{key.replace("__", "."): value for key, value in given.items()}}
        fields = {path: value for path, value in stated.items() if value is not None}
        request = Request(name=name, sources=[source or self.source], given=fields, backend=backend)
        return register(self.keep, request, who=AIKO, now=now).entry

    def update(self, name="orders", *, source=None, why="because", now=NOW, **given):
        fields = {key.replace("__", "."): value for key, value in given.items()}
        request = Request(name=name, sources=[source] if source else [], given=fields)
        return update(self.keep, request, message=why, review=lambda changes: True, who=AIKO, now=now).entry

    def reopen(self):
        self.keep = open_keep(self.keep.root, Silent())
        return self.keep

    def commit(self, **files):
        """Write files into the keep's history: path to text, with ``__`` for ``/``."""
        change = Change(files={path: text if text is None else text.encode() for path, text in files.items()})
        self.keep.repository.transact(lambda tree: change, "by hand", AIKO)
        self.keep.look_again()

    def person(self, handle):
        """A signer whose key the keep has known for a week."""
        if handle not in self.signers:
            key = self.folder / f"{handle}.key"
            attest.create(key, None)
            self.signers[handle] = attest.load(key, None)
            who = {"aiko": AIKO, "ken": KEN}[handle]
            line = self.signers[handle].public_line
            people.add(
                self.keep,
                name=who.name,
                email=who.email,
                line=line,
                who=AIKO,
                now=self.now - timedelta(days=7),
            )
        return self.signers[handle]

    def prove(self, entry, handle="ken", *, at=NOW - timedelta(hours=1), passed=True, about=None):
        """A proof of ``entry`` by ``handle``, committed."""
        signer = self.person(handle)
        who = {"aiko": AIKO, "ken": KEN}[handle]
        results = ["passed"] * 6 if passed else ["passed", "failed", *["not run"] * 4]
        predicate = proof.Verification(
            result="passed" if passed else "failed",
            at_fault=None if passed else "bytes",
            stages=[
                proof.Stage(name=name, result=result)
                for name, result in zip(proof.STAGES, results, strict=True)
            ],
            started=at - timedelta(minutes=1),
            finished=at,
            person=proof.Prover(handle=handle, name=who.name, email=who.email, is_owner=handle == "aiko"),
            self_check=handle == "aiko",
            verifier=proof.Verifier(datakeep="0", python="3.11.9", git="2", platform="linux"),
            entry=proof.EntryProven(path="register/x.yaml", keep_commit="ab" * 20),
        )
        subject = about or entry
        statement = proof.Statement.build(
            subject.dataset, subject.version, subject.commit, subject.inventory, predicate
        )
        name = proof.proof_path(statement).rpartition("/")[2]
        path = f"proofs/{entry.dataset}/{entry.version}/{name}"
        envelope = attest.sign(statement.to_bytes(), signer)
        change = Change(files={path: envelope})
        self.keep.repository.transact(lambda tree: change, "proof", who)
        self.keep.look_again()
        return path

    def objects(self, name="orders"):
        return SimpleNamespace(
            files=[path for path in (self.store / name / "files").rglob("*") if path.is_file()]
        )
