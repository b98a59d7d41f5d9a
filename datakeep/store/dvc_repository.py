"""Reading a repository that DVC wrote, of version 1, 2 or 3: which outputs it has, and where their bytes may be.

All of it is somebody else's text: nothing is run, no template is expanded, and what an address could do
with this machine's credentials is decided before it is asked.
"""

from __future__ import annotations

import configparser
import posixpath
import re
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datakeep.core import paths
from datakeep.core.errors import DatakeepError, HostileRepository, InvalidFile, Unsupported
from datakeep.core.secrets import strip_url
from datakeep.formats import yaml
from datakeep.store.location import scheme_of
from datakeep.store.opening import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from datakeep.store.interface import Store

_NAME = re.compile(r"([0-9a-f]{32})(\.dir)?")
_SECTION = re.compile(r"""['"]?remote\s+["']?(.*?)["']?['"]?""")
#: What stands in the place of an md5 where only the far end knows the bytes.
_FAR_ONLY = ("etag", "checksum", "cloud", "files", "version_id")
_ORDINARY = (
    "in a clone, make it an ordinary output: `dvc remove X.dvc`, `dvc add X`, `dvc push`, commit; "
    "then adopt again"
)
_MAX_HOPS = 5


@dataclass(frozen=True, slots=True)
class Output:
    """What DVC keeps: one file, or one folder.

    Args:
        path: In the repository.
        md5: The name of its object, 32 hex digits.
        is_folder: The object is a list of files.
        legacy: Of DVC 1 or 2: text files were hashed with their line ends changed, and objects lie elsewhere.
        stated_in: The file that says so.
        count: What it says of the size in bytes of a file, or of the number of files of a folder; None if nothing.
    """

    path: str
    md5: str
    is_folder: bool
    legacy: bool
    stated_in: str
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Outputs:
    """All outputs of a commit.

    Attributes:
        found: Those whose bytes can be known, by path.
        unsupported: Path of each other one to the reason.
        notes: What a person should know of those that are in git.
    """

    found: list[Output]
    unsupported: dict[str, str]
    notes: list[str]

    def among(self, roots: Sequence[str]) -> list[Output]:
        """The outputs that have to do with one of the paths ``roots``; all of them if there is none.

        Raises:
            Unsupported: One of these cannot be adopted; lists all such outputs.
        """
        bad = [why for path, why in self.unsupported.items() if _concerns(path, roots)]
        if bad:
            more = f", and {len(bad) - 1} more" if len(bad) > 1 else ""
            raise Unsupported(
                f"the repository has an output that cannot be adopted: {bad[0]}{more}",
                next_step=f"{_ORDINARY}; or choose others with --data",
                things=bad,
            )
        return [one for one in self.found if _concerns(one.path, roots)]


def _concerns(path: str, roots: Sequence[str]) -> bool:
    """Whether ``path`` is one of ``roots``, or above or below one."""
    return not roots or any(
        f"{path}/".startswith(f"{root}/") or root.startswith(f"{path}/") for root in roots
    )


@dataclass(frozen=True, slots=True)
class Places:
    """Where the bytes may be, in the order of asking; and which places cannot be asked, with the reason."""

    stores: list[Store] = field(default_factory=list)
    unusable: dict[str, str] = field(default_factory=dict)


def is_pointer(path: str) -> bool:
    """Whether the file ``path`` of a repository is one of DVC's own, which say what its outputs are."""
    name = path.rpartition("/")[2]
    return name in ("dvc.yaml", "dvc.lock") or (name.endswith(".dvc") and name != ".dvc")


def read_outputs(files: Mapping[str, bytes], tracked: set[str]) -> Outputs:
    """The outputs that DVC's files of a commit state.

    Args:
        files: Path to bytes of all files for which :func:`is_pointer` holds.
        tracked: The paths of all files of the commit, and of all of their folders.

    Raises:
        Unsupported: An output lies outside of the repository, or its place is a template.
        InvalidFile: A file cannot be read.
        HostileRepository: A path leads out of the repository.
    """
    found: dict[str, Output] = {}
    notes: list[str] = []
    unsupported: dict[str, str] = {}
    for place, raw, folder in _stated(files, notes):
        path = _path(raw, folder, place)
        if raw.get("cache") is False or (path in tracked and not place.endswith(".dvc")):
            notes.append(f"{path} is kept in git itself, as {place} says; it stays where it is")
            continue
        if fault := _unsupported(raw):
            unsupported[path] = f"{path} ({place}): {fault}"
            continue
        match = _NAME.fullmatch(str(raw["md5"]))
        if match is None:
            raise _invalid(place, f"the md5 of {path} is not the name of an object")
        if found.setdefault(path, one := _output(path, match, raw, place)) != one:
            raise _invalid(place, f"{path} is an output of {found[path].stated_in} too")
    return Outputs([found[path] for path in sorted(found)], unsupported, notes)


def _output(path: str, match: re.Match[str], raw: Mapping[str, Any], place: str) -> Output:
    is_folder = match[2] is not None
    count = raw.get("nfiles" if is_folder else "size")
    known = count if isinstance(count, int) and not isinstance(count, bool) else None
    return Output(path, match[1], is_folder, raw.get("hash") != "md5", place, known)


def require_counts(outputs: Sequence[Output], sizes: Mapping[str, int]) -> None:
    """Refuse a pointer whose md5 names other bytes than it speaks of: its md5 was changed by hand.

    Args:
        outputs: What the pointers say.
        sizes: Path in the repository to size in bytes, of files whose bytes are known; others are not judged.

    Raises:
        InvalidFile: Lists all such pointers.
    """
    folders = {one.path: 0 for one in outputs if one.is_folder}
    for path in sizes:
        for at, mark in enumerate(path):
            if mark == "/" and path[:at] in folders:
                folders[path[:at]] += 1
    wrong = []
    for one in outputs:
        found = (folders[one.path] or None) if one.is_folder else sizes.get(one.path)
        if found is not None and one.count not in (None, found):
            unit = "files" if one.is_folder else "bytes"
            wrong.append(
                f"{one.stated_in} says that {one.path} has {one.count:,} {unit}; what its md5 names has {found:,}"
            )
    if wrong:
        raise InvalidFile(
            wrong[0] if len(wrong) == 1 else f"{len(wrong)} pointers of DVC do not fit what their md5s name",
            next_step="see who changed it (`git log -p X.dvc`); with the right file in a clone: `dvc add X`, "
            "`dvc push`, commit, and adopt again; or name the other outputs with --data",
            things=wrong,
        )


def _stated(files: Mapping[str, bytes], notes: list[str]) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Each output as it is stated: the file that does, its fields, the folder that its path is relative to."""
    for place, text in sorted(files.items()):
        folder, _, name = place.rpartition("/")
        if name.endswith(".dvc"):
            data = yaml.load(text, what=place)
            inner = posixpath.join(folder, str(data.get("wdir") or "."))
            imported = bool(data.get("deps")) and not data.get("cmd")
            for raw in _list(data.get("outs"), place):
                yield place, {**raw, "imported": True} if imported else raw, inner
        elif name == "dvc.lock":
            pipeline = files.get(posixpath.join(folder, "dvc.yaml"))
            stages = yaml.load(pipeline, what=f"{folder}/dvc.yaml").get("stages") if pipeline else {}
            yield from _locked(place, text, stages if isinstance(stages, dict) else {}, notes)


def _locked(
    place: str, text: bytes, stages: Mapping[str, Any], notes: list[str]
) -> Iterator[tuple[str, dict[str, Any], str]]:
    data = yaml.load(text, what=place)
    runs = data.get("stages", {}) if "schema" in data else data
    if not isinstance(runs, dict):
        raise _invalid(place, "its stages are not a mapping")
    for name, run in runs.items():
        stage = stages.get(name, stages.get(str(name).partition("@")[0]))
        if not isinstance(stage, dict) or not isinstance(run, dict):
            continue  # DVC, too, forgets what dvc.yaml no longer has
        body = stage.get("do", stage)
        inner = str((body.get("wdir") if isinstance(body, dict) else None) or ".")
        if "${" in inner:
            raise Unsupported(
                f"the stage {name} of {place} works in the folder {inner!r}, a template",
                next_step="write the folder out in dvc.yaml, commit, and adopt again",
            )
        for raw in _list(run.get("outs"), place):
            yield place, raw, posixpath.join(posixpath.dirname(place), inner)
    never = [str(name) for name in stages if not any(str(run).partition("@")[0] == name for run in runs)]
    if never:
        notes.append(f"stages of {place} without recorded outputs, never run: {', '.join(sorted(never))}")


def _list(outs: object, place: str) -> list[dict[str, Any]]:
    if outs is None:
        return []
    if not isinstance(outs, list) or not all(isinstance(out, dict) for out in outs):
        raise _invalid(place, "its outputs ('outs') are not a list of mappings")
    return outs


def _path(raw: Mapping[str, Any], folder: str, place: str) -> str:
    text = raw.get("path")
    if not isinstance(text, str) or not text:
        raise _invalid(place, "an output has no path")
    if scheme_of(text) or text.startswith(("remote://", "/", "~")):
        raise Unsupported(
            f"{place} states the output {strip_url(text)}, which lies outside of the repository",
            next_step=_ORDINARY,
        )
    path = posixpath.normpath(posixpath.join(folder, text))
    refusal = paths.refuse(unicodedata.normalize("NFC", path))
    if refusal or path == ".":
        raise HostileRepository(
            f"{place} states an output that could harm this machine: {refusal or repr(text)}",
            next_step="do not use this repository; ask its owner what it holds",
        )
    return path


def _unsupported(raw: Mapping[str, Any]) -> str | None:
    """Why the bytes of an output cannot be known; None if they can."""
    if raw.get("imported"):
        return "it is imported from elsewhere (`dvc import`, `dvc import-url`), which DVC does anew each time"
    far = [name for name in _FAR_ONLY if raw.get(name)]
    if far:
        return f"its bytes are known to the cloud alone ({', '.join(far)})"
    if raw.get("hash") not in (None, "md5", "md5-dos2unix"):
        return f"its hash is {str(raw['hash'])[:40]!r}, not md5"
    return None if isinstance(raw.get("md5"), str) else "it has no md5: it was never added or run"


def places(config: bytes, folder: Path | None) -> Places:
    """The places that a repository's configuration names: the cache of a clone, its default remote, the others.

    Args:
        config: ``.dvc/config`` of the commit.
        folder: The user's own clone on this machine, whose cache and ``config.local`` count too; None for a
            repository that was named by an address. Then no place gets this machine's credentials that could be
            the repository's own server, and no path is relative to anything.

    Raises:
        InvalidFile: The configuration cannot be read.
    """
    sections = _config(config, ".dvc/config")
    if folder and (own := folder / ".dvc" / "config.local").is_file():
        for name, options in _config(own.read_bytes(), str(own)).items():
            sections.setdefault(name, {}).update(options)
    remotes = {match[1]: one for name, one in sections.items() if (match := _SECTION.fullmatch(name))}
    default = sections.get("core", {}).get("remote")
    found = Places()
    if folder:
        cache = sections.get("cache", {}).get("dir") or str(folder / ".dvc" / "cache")
        found.stores.append(open_store("the local cache", str(_absolute(cache, folder))))
    for name in sorted(remotes, key=lambda name: (name != default, name)):
        try:
            found.stores.append(_store(name, _resolved(name, remotes), folder))
        except DatakeepError as error:
            found.unusable[f"remote {name}"] = error.what
    return found


def _config(text: bytes, what: str) -> dict[str, dict[str, str]]:
    parser = configparser.RawConfigParser(
        delimiters=("=",), comment_prefixes=("#",), strict=False, empty_lines_in_values=False
    )
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # the documented way to keep case
    try:
        parser.read_string("\n".join(line.strip() for line in text.decode("utf-8").splitlines()))
    except (UnicodeDecodeError, configparser.Error) as fault:
        raise InvalidFile(f"{what} cannot be read", next_step="repair it, commit, and adopt again") from fault
    return {
        name: {key: _value(value) for key, value in parser.items(name)}
        for name in parser.sections()
        if name.strip()
    }


def _value(text: str) -> str:
    """A value as ConfigObj, DVC's reader, takes it: in quotes, or up to a comment."""
    text = text.strip()
    if text[:1] in ("'", '"') and (end := text.find(text[0], 1)) != -1:
        return text[1:end]
    return text.partition("#")[0].strip()


def _resolved(name: str, remotes: Mapping[str, dict[str, str]]) -> dict[str, str]:
    """The options of a remote whose url may be below another one's (``remote://main/part``)."""
    options = dict(remotes[name])
    for _ in range(_MAX_HOPS):
        url = options.get("url", "")
        if not url.startswith("remote://"):
            return options
        base, _, rest = url.removeprefix("remote://").partition("/")
        if base not in remotes:
            break
        options = {**remotes[base], **options, "url": f"{remotes[base].get('url', '').rstrip('/')}/{rest}"}
    raise _not_usable(f"its url {strip_url(options.get('url', ''))} names no other remote")


def _store(name: str, options: Mapping[str, str], folder: Path | None) -> Store:
    url = options.get("url", "")
    if any(options.get(flag, "").lower() == "true" for flag in ("version_aware", "worktree")):
        raise _not_usable("it keeps files under their own names (version_aware, worktree)")
    scheme = scheme_of(url)
    if scheme is None:
        if not url or (folder is None and not url.startswith("/")):
            raise _not_usable(f"its url {url!r} is a path in somebody's clone")
        return open_store(name, str(_absolute(url, folder)))
    endpoint = options.get("endpointurl")
    if scheme == "azure":
        account = options.get("account_name")
        endpoint = f"https://{account}.blob.core.windows.net" if account else None
    if endpoint and folder is None:
        raise _not_usable(
            f"the repository itself names its server, {strip_url(endpoint)}, which would be shown your credentials"
        )
    return open_store(
        name,
        url,
        endpoint_url=endpoint,
        region=options.get("region"),
        profile=options.get("profile") if folder else None,
    )


def _absolute(text: str, folder: Path | None) -> Path:
    """A path of a DVC configuration: relative ones are relative to its folder ``.dvc``."""
    path = Path(text).expanduser() if folder else Path(text)
    joined = folder / ".dvc" / path if folder else path
    return Path(posixpath.normpath(joined))


def _not_usable(why: str) -> Unsupported:
    return Unsupported(why, next_step="in a clone: `dvc fetch`, then adopt the clone's folder")


def _invalid(what: str, why: str) -> InvalidFile:
    return InvalidFile(f"{what} cannot be read: {why}", next_step="repair it, commit, and adopt again")
