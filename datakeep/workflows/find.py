"""``find``: datasets, models, people and files by words (L5): what matched, where, and what to type next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from datakeep.core.errors import UsageError
from datakeep.lineage import hashes
from datakeep.lineage.committed import folded
from datakeep.lineage.search import Result, search
from datakeep.lineage.shapes import undeclared_holding, with_files, with_undeclared
from datakeep.workflows.index import NotSearched, ask, not_searched

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datakeep.lineage.index import Index
    from datakeep.lineage.search import Hit, Match
    from datakeep.workflows.keep import Keep

FindKind = Literal["dataset", "model", "person", "file"]
KINDS: tuple[FindKind, ...] = ("dataset", "model", "person", "file")
#: Datasets whose file lists are read through, older lists of one of them, and paths of each that are shown.
_MAX_DATASETS = 50
_MAX_INVENTORIES = 5
_MAX_PATHS = 20
_SNIPPET = 90


@dataclass(frozen=True, slots=True)
class Where:
    """Where a word was found: the field, a piece of its text, and the last version that said so, if not the newest.

    ``meant`` is the word that was found instead, where it was taken for a typo.
    """

    word: str
    field: str
    text: str
    until: str | None
    meant: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that was found; ``version`` is its newest, None where there are none."""

    kind: FindKind
    name: str
    version: str | None
    where: tuple[Where, ...]
    next_step: str


@dataclass(frozen=True, slots=True)
class Findings:
    """The answer: the best first.

    Attributes:
        words: What was asked for.
        found: What has all the words.
        near: For a word that is nowhere, words like it that the keep has.
        alone: For each word that is somewhere, in how many things.
        not_searched: What could not be looked through, one line each.
        fetchable: Whether some of that could be, once it was fetched.
        broken: Files of the keep that cannot be read, and so may hold an answer.
        total: How many things have all the words; ``found`` may be the first of them only.
    """

    words: tuple[str, ...]
    found: tuple[Found, ...]
    near: dict[str, tuple[str, ...]]
    alone: dict[str, int]
    not_searched: tuple[str, ...]
    fetchable: bool
    broken: tuple[tuple[str, str], ...]
    total: int


def find(
    keep: Keep,
    words: Sequence[str],
    *,
    kind: FindKind | None = None,
    fetch: bool = False,
    limit: int | None = None,
) -> Findings:
    """What of the keep has all of ``words``.

    Args:
        keep: The keep.
        words: As they were typed; each may be a part of a word, or hold spaces.
        kind: Only such things.
        fetch: Get the file lists and SQL that are not here first.
        limit: Name so many of what was found, the best; None names all.

    Raises:
        UsageError: There is no word.
    """
    asked = tuple(word for word in words if folded(word).strip())
    if not asked:
        raise UsageError("no word to search for", next_step="datakeep find WORDS…")
    keep.warn_if_behind()
    return ask(keep, lambda index: _Finder(index, asked, kind).findings(limit), fetch=fetch)


class _Finder:
    """One search of one index."""

    def __init__(self, index: Index, words: tuple[str, ...], kind: FindKind | None) -> None:
        self._index, self._words, self._kind = index, words, kind
        self._skipped: list[str] = []

    def findings(self, limit: int | None) -> Findings:
        kinds = [one for one in KINDS if one != "file" and self._kind in (None, one)]
        result = search(self._index.database, self._words, kinds) if kinds else Result((), {}, {})
        files = self._files(self._words) if self._kind in (None, "file") else []
        readers = self._readers(result.hits) if self._kind in (None, "model") else []
        lacking: list[NotSearched | None] = []
        if self._kind in (None, "file"):
            lacking.append(not_searched(self._index, "files"))
        if self._kind in (None, "dataset"):
            lacking.append(not_searched(self._index, "SQL"))
        may_tell = dict.fromkeys((*kinds, *(["dataset"] if self._kind == "file" else [])))
        broken = [one for kind in may_tell for one in self._index.broken(kind)]
        for word in result.frequent:
            self._skipped.append(f"some of the very many texts that have {word!r}: add another word")
        texts = [self._found(hit) for hit in result.hits[:limit]]
        # A path has the very words, and comes before what they may have been meant for.
        guessed = any(match.meant for hit in result.hits[:1] for match in hit.matches)
        found = [*files, *readers, *texts] if guessed else [*texts, *files, *readers]
        near, alone = result.near, result.alone
        if not found:
            near, alone = self._in_paths_too(near, alone)
        return Findings(
            self._words,
            tuple(found[:limit]),
            near,
            alone,
            (*(str(one) for one in lacking if one), *self._skipped),
            any(lacking),
            tuple(broken),
            len(result.hits) + len(files) + len(readers),
        )

    def _found(self, hit: Hit) -> Found:
        newest = self._newest(hit.kind, hit.name)
        steps = {"dataset": f"datakeep show {hit.name}", "model": f"datakeep audit model:{hit.name}"}
        kind: FindKind = {"model": "model", "person": "person"}.get(hit.kind, "dataset")  # type: ignore[assignment]
        return Found(
            kind,
            hit.name,
            f"v{newest}" if newest else None,
            tuple(_where(match, newest) for match in hit.matches),
            steps.get(hit.kind, "datakeep people list"),
        )

    def _newest(self, kind: str, name: str) -> int:
        query = "SELECT max(number) FROM entry WHERE kind = ? AND name = ?"
        return int(self._index.database.execute(query, (kind, name)).fetchone()[0] or 0)

    def _in_paths_too(
        self, near: dict[str, tuple[str, ...]], alone: dict[str, int]
    ) -> tuple[dict[str, tuple[str, ...]], dict[str, int]]:
        """Where nothing has all words: one that no text has may be in the paths of files."""
        if self._kind not in (None, "file"):
            return near, alone
        having = {word: len(self._files([word])) for word in near}
        return (
            {word: like for word, like in near.items() if not having[word]},
            alone | {word: count for word, count in having.items() if count},
        )

    def _files(self, asked: Sequence[str]) -> list[Found]:
        words = [folded(word).strip() for word in asked]
        candidates = set.intersection(*(set(with_files(self._index.database, word)) for word in words))
        chosen = sorted(candidates)[:_MAX_DATASETS]
        if len(candidates) > len(chosen):
            more = len(candidates) - len(chosen)
            self._skipped.append(f"the file names of {more} more datasets: say more, or name a longer part")
        found: list[Found] = []
        for dataset in chosen:
            found += self._files_of(dataset, words)
        return found

    def _readers(self, hits: Sequence[Hit]) -> list[Found]:
        """Models that read a file of such a path without declaring it; not those that were found already."""
        words = [folded(word).strip() for word in self._words]
        candidates = set.intersection(*(set(with_undeclared(self._index.database, one)) for one in words))
        candidates -= {hit.name for hit in hits if hit.kind == "model"}
        chosen = sorted(candidates)[:_MAX_DATASETS]
        if len(candidates) > len(chosen):
            more = len(candidates) - len(chosen)
            self._skipped.append(f"what {more} more models read undeclared: say more, or name a longer part")
        found = []
        for model in chosen:
            holding = undeclared_holding(self._index.database, model, words)
            if holding is None:
                self._skipped.append(f"what older versions of {model} read undeclared")
                continue
            number, paths = holding
            if paths:
                first = max(words, key=len)
                where = tuple(
                    Where(first, "read undeclared", path, None, None) for path in paths[:_MAX_PATHS]
                )
                step = f"datakeep audit model:{model}@v{number}"
                found.append(Found("model", model, f"v{number}", where, step))
        return found

    def _files_of(self, dataset: str, words: Sequence[str]) -> list[Found]:
        """Files of the newest version that has such ones."""
        query = (
            "SELECT max(v.number), i.paths FROM version v JOIN inventory i ON i.digest = v.inventory "
            "WHERE v.dataset = ? GROUP BY i.paths ORDER BY 1 DESC LIMIT ?"
        )
        first = max(words, key=len)
        lists = self._index.database.execute(query, (dataset, _MAX_INVENTORIES + 1))
        for looked, (number, inventory) in enumerate(lists):
            if looked == _MAX_INVENTORIES:
                self._skipped.append(f"the file names of older versions of {dataset}")
                break
            if paths := hashes.paths_holding(self._index.database, inventory, words, _MAX_PATHS):
                where = tuple(Where(first, "path", path, None, None) for path in paths)
                step = f"datakeep checkout {dataset}@v{number} DEST"
                return [Found("file", dataset, f"v{number}", where, step)]
        return []


def _where(match: Match, newest: int) -> Where:
    until = f"v{match.number}" if match.number and match.number < newest else None
    return Where(match.word, match.field, _snippet(match), until, match.meant)


def _snippet(match: Match) -> str:
    """The piece of the text around the word, on one line."""
    text = " ".join(match.text.split())
    if len(text) <= _SNIPPET:
        return text
    at = max(0, folded(text).find(match.meant or match.word))
    begin = max(0, min(at - _SNIPPET // 3, len(text) - _SNIPPET))
    end = begin + _SNIPPET
    return ("…" if begin else "") + text[begin:end] + ("…" if end < len(text) else "")
