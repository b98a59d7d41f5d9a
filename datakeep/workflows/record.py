"""``record``: what somebody says that a model, trained elsewhere, was made of. Declared, never taken for observed."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from datakeep.core.errors import SourceMissing, SourceUnreadable, UsageError
from datakeep.core.names import check_name, version_number
from datakeep.core.secrets import find_secret, guarded, strip_url
from datakeep.formats.base import COMMIT
from datakeep.formats.model import Artifact, ModelCode, ModelEnvironment, ModelInput, ModelRecord, Resources
from datakeep.formats.yaml import showable_path
from datakeep.lineage.records import all_records
from datakeep.store.hashing import hash_file
from datakeep.workflows.recording import publish_or_keep
from datakeep.workflows.run import base_records

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from datakeep.repository.identity import Identity
    from datakeep.repository.keep_tree import KeepTree
    from datakeep.workflows.keep import Keep
    from datakeep.workflows.recording import Recorded


@dataclass(frozen=True, slots=True)
class Declared:
    """What is said of a model.

    Args:
        model: Its name.
        files: Its files.
        uses: Dataset versions, ``orders@v3``; a name alone is the newest.
        bases: Models that it started from.
        code_url: The repository of its code.
        code_commit: And the commit.
        metrics: Numbers by name, as text.
    """

    model: str
    files: tuple[Path, ...]
    uses: tuple[str, ...]
    bases: tuple[str, ...] = ()
    code_url: str | None = None
    code_commit: str | None = None
    metrics: Mapping[str, str] | None = None


def record(keep: Keep, said: Declared, who: Identity) -> Recorded:
    """What is said is in the keep, as declared by ``who``; nothing is written if the same was declared already.

    Raises:
        UsageError: The name is none, two files have one name, or neither data nor base model is named.
        UnknownName: There is no such dataset version or base model.
        SourceMissing, SourceUnreadable: Of the files.
    """
    check_name(said.model, what="model")
    keep.require_not_departed(who, datetime.now(UTC))
    if not said.uses and not said.bases:
        raise UsageError(
            "a record that names neither data nor a base model says nothing",
            next_step=f"datakeep record {said.model} FILE --used orders@v3",
        )
    require_code(said)
    inputs = declared_inputs(keep, said.uses)
    bases = [one.label for one in base_records(keep, said.bases)]
    made = ModelRecord(
        model=said.model,
        version="v1",
        artifacts=artifacts_of(said.files),
        inputs=inputs,
        base_models=bases,
        code=ModelCode(url=said.code_url and strip_url(said.code_url), commit=said.code_commit),
        command=[],
        metrics=guarded(dict(said.metrics or {})),
        environment=ModelEnvironment(kind="unknown"),
        resources=Resources(),
        origin="declared",
        recorded_at=datetime.now(UTC).isoformat(timespec="seconds"),
        recorded_by=who.email,
        unknown=[f"whether all this is so: {who.email} declared it, and nothing was observed", "seed", "gpu"],
    )
    return publish_or_keep(keep, made, {}, who, trained=False, known_as=_declared_already)


def _declared_already(tree: KeepTree, record: ModelRecord) -> ModelRecord | None:
    """The oldest record in which somebody, whoever it was, declared the very same of the same files."""
    found = (one for one in all_records(tree, record.model).records if one.origin == "declared")
    return next(iter(sorted((one for one in found if _said(one) == _said(record)), key=_number)), None)


def _said(record: ModelRecord) -> tuple[object, ...]:
    files = {(one.path, one.sha256) for one in record.artifacts}
    return files, record.inputs, record.base_models, record.code, dict(record.metrics)


def _number(record: ModelRecord) -> int:
    return version_number(record.version)


def require_code(said: Declared) -> None:
    """The URL of the code holds no secret but what can be taken out of it, and its commit is a commit's id.

    Raises:
        UsageError: It does, or is none.
    """
    if said.code_commit is not None and not re.fullmatch(COMMIT, said.code_commit):
        raise UsageError(
            f"--code-commit {said.code_commit[:80]!r} is no commit's id, which has 40 or 64 hex digits",
            next_step="name it in full: git rev-parse HEAD prints it",
        )
    if said.code_url and find_secret(strip_url(said.code_url)):
        raise UsageError("the URL of the code holds a secret", next_step="leave it out of --code-url")


def declared_inputs(keep: Keep, uses: Sequence[str]) -> list[ModelInput]:
    """The dataset versions that somebody names.

    Raises:
        UnknownName: There is no such dataset or version.
    """
    return [ModelInput.declared(keep.entry(keep.resolve(name))) for name in dict.fromkeys(uses)]


def artifacts_of(files: Sequence[Path]) -> list[Artifact]:
    """The files of a model, in their order, with size and digest.

    Raises:
        UsageError: Two have one name.
        SourceMissing, SourceUnreadable: Of a file.
    """
    names = [file.name for file in files]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(
            f"two of the files are called {twice[0]}",
            next_step="rename one of them, or record them as two models",
        )
    found = []
    for file in files:
        try:
            size_bytes, _, sha256 = hash_file(Path(os.path.realpath(file)))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise SourceMissing(f"there is no file {file}", next_step="check the path") from error
        except OSError as error:
            raise SourceUnreadable(
                f"{file} is no file that can be read ({error.strerror or error})",
                next_step="name the model's file itself",
            ) from error
        found.append(Artifact(path=showable_path(file.name), sha256=sha256.hex(), size_bytes=size_bytes))
    return found
