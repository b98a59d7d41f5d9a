"""Whether what was recorded agrees with itself: records with entries, lists and proofs, entries with inventories.

It finds what a history cannot tell: a file that came in with false contents, or whose history was rewritten.
"""

from __future__ import annotations

import hashlib
from shlex import quote
from typing import TYPE_CHECKING

from datakeep.core.counts import counted
from datakeep.core.digests import path_list_id, paths_listed
from datakeep.core.errors import DatakeepError
from datakeep.lineage.records import record_path
from datakeep.repository import edits
from datakeep.workflows.register_entries import entry_path
from datakeep.workflows.written_once import Tampered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from datakeep.formats.inventory import Inventory
    from datakeep.formats.model import ModelInput, ModelRecord
    from datakeep.formats.version import VersionEntry
    from datakeep.workflows.keep import Keep
    from datakeep.workflows.standings import Proofs, ProofStanding


class Doubts:
    """What contradicts each other in one keep.

    Args:
        keep: The keep.
        proofs: What the proofs of a version are worth.
        entries: Register entries that are known already.
    """

    def __init__(
        self, keep: Keep, proofs: Callable[[VersionEntry], Proofs], entries: Sequence[VersionEntry] = ()
    ) -> None:
        self._keep, self._proofs = keep, proofs
        self._entries: dict[str, VersionEntry | None] = {
            f"{entry.dataset}@{entry.version}": entry for entry in entries
        }

    def of_record(self, record: ModelRecord) -> Iterator[Tampered]:
        """Where a model record contradicts register entries, what lies beside it, or its signed proof."""
        path = record_path(record.model, record.version)
        lines = [
            *(line for given in record.inputs for line in self._of_input(record, given)),
            *self._of_changes(record),
            *self._of_proof(record),
        ]
        yield from (
            Tampered(
                path,
                f"{path}: {line}",
                next_step=self._log(path),
            )
            for line in lines
        )

    def of_proofs(self, proofs: Proofs) -> Iterator[Tampered]:
        """The proofs of a version that were changed, and those that know another register than this one."""
        for proof in proofs.proofs:
            if proof.standing.contradicts:
                yield Tampered(
                    proof.path,
                    f"{proof.path} proves nothing: {proof.standing.reason}",
                    next_step=self._log(proof.path),
                )
            elif line := self._other_history(proof):
                yield Tampered(proof.path, line, next_step=f"git -C {quote(str(self._keep.root))} fsck")

    def _log(self, path: str) -> str:
        return f"git -C {quote(str(self._keep.root))} log -p -- {quote(path)}"

    def _entry(self, name: str) -> VersionEntry | None:
        if name not in self._entries:
            try:
                self._entries[name] = self._keep.entry(name, asking=False)
            except DatakeepError:  # that it is missing or broken is told where its facts are
                self._entries[name] = None
        return self._entries[name]

    def _of_input(self, record: ModelRecord, given: ModelInput) -> Iterator[str]:
        name = f"{given.dataset}@{given.version}"
        entry = self._entry(name)
        if entry:
            for what, said, true in (
                ("commit", given.commit, entry.commit),
                ("content id", given.content, entry.content),
            ):
                if said != true:
                    yield f"it says that the {what} of {name} was {said}, and the register says {true}"
        read = given.files_read
        if read is None:
            return
        if entry and read.of not in (None, entry.files):
            yield f"it says that {name} has {counted(read.of or 0, 'file')}, and the register says {entry.files:,}"
        if read.kept is None:
            return
        kept = f"models/{record.model}/{record.version}/{read.kept}"
        text = self._keep.tree.read(kept)
        if text is None:
            yield f"its list of the files read, {kept}, is missing"
            return
        paths = paths_listed(text)
        if path_list_id(paths) != read.list or len(paths) != read.count:
            yield f"{kept} is not the list of the files read that it tells of"

    def _of_changes(self, record: ModelRecord) -> Iterator[str]:
        code = record.code
        if not code.diff:
            return
        path = f"models/{record.model}/{record.version}/{code.diff}"
        text = self._keep.tree.read(path)
        if text is None:
            yield f"the changes of its code, {path}, are missing"
        elif f"sha256:{hashlib.sha256(text).hexdigest()}" != code.dirty:
            yield f"{path} are not the changes of the code that it tells of"

    def _of_proof(self, record: ModelRecord) -> Iterator[str]:
        if record.proof is None:
            return
        given = next(iter(record.inputs), None)
        entry = self._entry(f"{given.dataset}@{given.version}") if given else None
        if entry is None:
            return
        from datakeep.workflows.model_record import difference  # late: few models come from a verification

        proof = next((one for one in self._proofs(entry).proofs if one.path == record.proof), None)
        if proof is None:
            yield f"its proof, {record.proof}, is missing"
        elif (statement := proof.standing.statement) and (line := difference(record, entry, statement)):
            yield f"{line} ({record.proof})"

    def _other_history(self, proof: ProofStanding) -> str | None:
        """A signed proof names the commit in which its entry came in: another one there is another history."""
        statement = proof.standing.statement
        named = statement.predicate.entry.keep_commit if statement else ""
        if not statement or not named or edits.is_shallow(self._keep.root):
            return None
        path = entry_path(statement.dataset, statement.version)
        if not edits.goes_on(self._keep.root, named, self._keep.tree.commit or ""):
            return (
                f"{proof.path} was made when {path} was in the commit {named[:12]}, which is not in this keep's "
                "history: it was rewritten since"
            )
        if self._keep.repository.at(named).read(path) != self._keep.tree.read(path):
            return f"{proof.path} was made of another {path} than there is now"
        return None


def of_inventory(entry: VersionEntry, inventory: Inventory) -> Iterator[str]:
    """Where a register entry says something else of its inventory than that says itself."""
    path = entry_path(entry.dataset, entry.version)
    said = {"files": entry.files, "size_bytes": entry.size_bytes, "content": entry.content}
    true = {"files": len(inventory), "size_bytes": inventory.size_bytes, "content": inventory.content_id()}
    for name, value in said.items():
        if value != true[name]:
            yield f"{path} says {name} {value}, and its inventory {true[name]}"
