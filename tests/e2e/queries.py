"""What the tests of extractions share: a keep to register queries in, and looking at what was recorded and kept."""

from __future__ import annotations

import sqlite3
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from seen import Quick, files_below, state
from world import Ran

from datakeep.formats import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

    from world import World

#: What the policy wants of a query that datakeep runs; when, by whom and where from it finds itself.
STATED = (
    "--purpose=test of datakeep", "--no-annotation=nothing to label", "--privacy=no", "--license=CC0-1.0",
    "--access=it is public",
)  # fmt: skip
#: What every call would import, imported once.
PRELOADED = (
    "pyarrow.parquet", "datakeep.workflows.extraction", "datakeep.workflows.reextract",
    "datakeep.workflows.check_sql", "datakeep.extract.sql.postgres", "datakeep.extract.sql.statement",
    "datakeep.extract.sql.advice", "datakeep.extract.sql.lineage", "datakeep.extract.profile",
)  # fmt: skip


@dataclass
class Queries:
    """Aiko's keep, and her calls that run queries."""

    world: World
    calls: Quick
    tmp: Path

    def write(self, name: str, text: str) -> Path:
        """A file with a query."""
        path = self.world.aiko.cwd / name
        path.write_text(text, "utf-8")
        return path

    def register(
        self, name: str, text: str, url: str, *options: str | Path, code: int | None = 0, stated: bool = True
    ) -> Ran:
        """``register NAME --sql``; the query is in ``NAME.sql``."""
        argv = ("register", name, "--sql", self.write(f"{name}.sql", text), "--database", url)
        return self.run(*argv, *(STATED if stated else ()), *options, code=code)

    def run(self, *argv: str | Path, code: int | None = 0) -> Ran:
        """Any call, in the keep."""
        return self.calls.datakeep(*argv, cwd=self.world.keep, code=code)

    def entry(self, name: str, version: str = "v1") -> dict[str, Any]:
        """The register's entry."""
        path = self.world.keep / "register" / name / f"{version}.yaml"
        found: dict[str, Any] = yaml.plain(yaml.load(path.read_bytes(), what=str(path)))
        return found

    def source(self, name: str, version: str = "v1") -> dict[str, Any]:
        """``source`` of the manifest that the register has."""
        found: dict[str, Any] = self.entry(name, version)["manifest"]["source"]
        return found

    def versions(self, name: str) -> list[str]:
        """The versions that are registered."""
        return sorted(path.stem for path in (self.world.keep / "register" / name).glob("*.yaml"))

    def files(self, name: str, version: str = "v1") -> list[Path]:
        """The Parquet files of a version, fetched from the vault, in their order."""
        place = self.tmp / f"{name}-{version}"
        if not place.exists():
            self.run("checkout", f"{name}@{version}", place)
        return sorted((place / "data").iterdir())

    def table(self, name: str, version: str = "v1") -> Any:
        """All rows of a version."""
        return pa.concat_tables([pq.read_table(file) for file in self.files(name, version)])

    def rows(self, name: str, version: str = "v1") -> list[tuple[Any, ...]]:
        """The same, as Python has them."""
        return [tuple(row.values()) for row in self.table(name, version).to_pylist()]

    def everything(self) -> dict[str, Any]:
        """All that an extraction that comes to nothing must leave as it was: keep, vault, temporary files."""
        # The working folder of a dataset's clone and what was hashed are caches.
        return state(self.world) | {"tmp": files_below(Path(self.world.aiko.env["TMPDIR"]))}

    def traces(self, *secrets: str) -> list[str]:
        """Each file of keep, vault, home, caches and temporary folder, and each object of git, that has a secret."""
        world, found = self.world, []
        wanted = [secret.encode() for secret in secrets]
        for folder in (world.keep, world.vault, world.aiko.caches, self.tmp, world.aiko.home):
            for path in folder.rglob("*"):
                if (
                    path.is_file()
                    and path.name != ".pgpass"
                    and any(one in path.read_bytes() for one in wanted)
                ):
                    found.append(str(path))
        for repository in [world.keep / ".git", *world.vault.glob("git/*/*.git")]:
            argv = ["git", "--git-dir", str(repository), "cat-file", "--batch-all-objects", "--batch"]
            objects = subprocess.run(argv, env=world.aiko.env, capture_output=True, check=True).stdout
            assert b"tree" in objects
            if any(one in objects for one in wanted):
                found.append(str(repository))
        return found


def make_queries(world: World, tmp: Path) -> Iterator[Queries]:
    """For a fixture of a module; Aiko has a folder of her own for temporary files."""
    temporary = tmp / "temporary"
    temporary.mkdir()
    world.aiko.extra["TMPDIR"] = str(temporary)
    calls = Quick(world.aiko, Ran, preload=PRELOADED)
    yield Queries(world, calls, tmp)
    calls.close()


def sqlite_file(path: Path, *statements: str) -> str:
    """The URL of a new SQLite file in which these were run."""
    with sqlite3.connect(path) as connection:
        for one in statements:
            connection.execute(one)
    connection.close()
    return f"sqlite:///{path}"
