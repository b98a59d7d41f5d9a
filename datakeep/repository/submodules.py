"""Pinned submodules, written directly: ``git submodule add`` gets slower with every dataset of the keep.

What is read from a foreign repository is checked before git acts on it. The rules are those that git
itself learned one advisory at a time (CVE-2018-11235, CVE-2018-17456, CVE-2019-1387, CVE-2020-5260 …).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from datakeep.core.errors import GitFault, HostileRepository, InvalidFile
from datakeep.core.paths import refusals, refuse
from datakeep.core.secrets import strip_url
from datakeep.repository.command import GitRunner, check_url

_UPDATES = frozenset({"", "checkout", "rebase", "merge", "none"})
_SCHEMES = frozenset({"https", "http", "ssh", "git", "git+ssh", "file"})


@dataclass(frozen=True, slots=True)
class Submodule:
    """One entry of ``.gitmodules``; ``update`` is empty where it is not stated."""

    name: str
    path: str
    url: str
    update: str = ""
    branch: str = ""


def parse(text: str) -> list[Submodule]:
    """The entries of a ``.gitmodules``, read by git itself. They are not checked yet: see :func:`check`.

    Raises:
        InvalidFile: git cannot read it.
        HostileRepository: An entry states the same thing twice, which tools read differently.
    """
    try:
        listed = (
            GitRunner(None)
            .run("config", "--file=-", "--no-includes", "-z", "--list", stdin=text.encode())
            .stdout
        )
    except GitFault as error:
        raise InvalidFile(
            f"the .gitmodules cannot be read: {error.what}",
            next_step="repair it, or ask the repository's owner",
        ) from error
    found: dict[str, dict[str, str]] = {}
    for record in filter(None, listed.decode("utf-8", "replace").split("\0")):
        key, _, value = record.partition("\n")
        section, _, rest = key.partition(".")
        name, dot, variable = rest.rpartition(".")
        if section != "submodule" or not dot:
            continue
        facts = found.setdefault(name, {})
        if variable in facts and variable in ("path", "url", "update"):
            raise HostileRepository(
                f"the .gitmodules states the {variable} of {name!r} twice",
                next_step="ask the repository's owner",
            )
        facts[variable] = value
    return [
        Submodule(name, *(facts.get(key, "") for key in ("path", "url", "update", "branch")))
        for name, facts in found.items()
    ]


def check(submodules: list[Submodule]) -> None:
    """Returns if git can act on all of ``submodules`` without harm.

    Raises:
        HostileRepository: One of them could run a program, be read as an option, or write outside its place.
    """
    faults = [fault for submodule in submodules for fault in _faults(submodule)]
    faults += [
        str(refusal) for refusal in refusals([submodule.path for submodule in submodules if submodule.path])
    ]
    if faults:
        raise HostileRepository(
            f"the .gitmodules holds what could harm this machine: {faults[0]}",
            next_step="do not use this repository; ask its owner what it holds",
            things=faults,
        )


def _faults(submodule: Submodule) -> list[str]:
    name, faults = submodule.name, []
    if not name or name.startswith("-") or ".." in re.split(r"[/\\]", name) or _has_control(name):
        faults.append(f"the name {name!r} could be read as an option, or leads outside of .git/modules")
    if submodule.path.startswith("-") or "\\" in submodule.path or not submodule.path:
        faults.append(f"the path {submodule.path!r} of {name!r} could be read as an option or in two ways")
    if submodule.update not in _UPDATES:
        faults.append(f"'update = {submodule.update}' of {name!r} names a program to run")
    if submodule.branch.startswith("-"):
        faults.append(f"the branch {submodule.branch!r} of {name!r} could be read as an option")
    scheme = re.match(r"([A-Za-z0-9+.-]+):/", submodule.url)
    if scheme and scheme[1].lower() not in _SCHEMES:
        faults.append(f"the address {strip_url(submodule.url)!r} of {name!r} has an unknown transport")
    if "%0a" in submodule.url.lower() or "%0d" in submodule.url.lower():
        faults.append(f"the address of {name!r} holds an encoded line end")
    try:
        check_url(submodule.url)
    except HostileRepository as error:
        faults.append(f"{name!r}: {error.what}")
    return faults


def _has_control(text: str) -> bool:
    return any(ord(character) < 32 or ord(character) == 127 for character in text)


def add(text: str, submodule: Submodule) -> str:
    """``text`` with ``submodule`` at its end; the same text if it is in it already, as it is.

    Only the end of the text is written, so that the 10,000th entry costs what the first did.

    Raises:
        HostileRepository: The entry is one that :func:`check` refuses.
    """
    faults = _faults(submodule)
    if faults or refuse(submodule.path):
        check([submodule])
    header = f'[submodule "{_escaped(submodule.name)}"]'
    entry = f"{header}\n\tpath = {_value(submodule.path)}\n\turl = {_value(submodule.url)}\n"
    if entry in text:
        return text
    if header in text:
        return _replaced(text, header, entry)
    return f"{text}{'' if not text or text.endswith(chr(10)) else chr(10)}{entry}"


def _replaced(text: str, header: str, entry: str) -> str:
    start = text.index(header)
    following = text.find("\n[", start)
    return text[:start] + entry + (text[following + 1 :] if following != -1 else "")


def _escaped(name: str) -> str:
    return name.replace("\\", "\\\\").replace('"', '\\"')


def _value(text: str) -> str:
    """``text`` as git's configuration syntax holds it."""
    plain = re.fullmatch(r"[^\s\\\"#;](?:[^\\\"#;]*[^\s\\\"#;])?", text)
    return text if plain else f'"{_escaped(text)}"'


def relative_url(keep_url: str, dataset_url: str) -> str:
    """What to write as the submodule's URL: relative where keep and dataset lie in one git base.

    git resolves it against the URL that the keep was cloned from, so that a base which another machine
    mounts or reaches elsewhere still works.
    """
    base = keep_url.rsplit("/", 2)[0] if keep_url.count("/") >= 2 else ""
    if base and not base.endswith((":/", ":")) and dataset_url.startswith(f"{base}/"):
        return f"../../{dataset_url[len(base) + 1 :]}"
    return dataset_url


def resolve_url(parent_url: str, url: str) -> str:
    """The absolute form of a submodule's ``url``, as git resolves it against its superproject's."""
    if not url.startswith(("./", "../")):
        return url
    base = parent_url.rstrip("/")
    while url.startswith(("./", "../")):
        if url.startswith("./"):
            url = url[2:]
            continue
        url = url[3:]
        head, separator, _ = base.rpartition("/")
        if not separator or head.endswith((":/", "/")):
            raise HostileRepository(
                f"a submodule's address leads above {strip_url(parent_url)}",
                next_step="ask the repository's owner",
            )
        base = head
    return f"{base}/{url}"
