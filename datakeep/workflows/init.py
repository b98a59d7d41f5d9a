"""``init``: a keep, its git repository and its vault."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from datakeep.core.errors import AccessDenied, AlreadyExists, UsageError
from datakeep.core.names import NAME, check_name
from datakeep.formats import yaml
from datakeep.formats.base import validate
from datakeep.formats.keep import REQUIRED, KeepFile, StoreEntry
from datakeep.repository import vault
from datakeep.repository.command import local_path
from datakeep.repository.keep import Change, KeepRepository
from datakeep.store.interface import Capability
from datakeep.store.location import scheme_of, split_url
from datakeep.store.opening import create_store, open_store
from datakeep.workflows.apart import require_apart
from datakeep.workflows.facts import check_writable
from datakeep.workflows.keep import KEEP_FILE, Keep, open_keep
from datakeep.workflows.people import new_person

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from datakeep.core.progress import Progress
    from datakeep.repository.identity import Identity
    from datakeep.repository.keep_tree import KeepTree
    from datakeep.store.interface import Store

#: Folders that one person's account keeps in step; what lies there goes when the account does (L2).
_PERSONAL = re.compile(
    r"/(Dropbox|OneDrive[^/]*|Google ?Drive|iCloud[^/]*|Box Sync|pCloud[^/]*|MEGA)(/|$)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Made:
    """What ``init`` made, or found already made by the same call before."""

    keep: Keep
    created: bool


def init(
    folder: Path,
    *,
    name: str | None,
    vault_git: str | None,
    vault_data: Sequence[str],
    who: Identity,
    now: datetime,
    progress: Progress,
) -> Made:
    """A keep at ``folder`` with its vault; by default the vault is the folder ``<folder>.vault`` beside it.

    Running it again after it was interrupted finishes it; on a finished keep it changes nothing.

    Args:
        folder: Where the keep goes; it must not exist, or be empty.
        name: The keep's name; by default the folder's.
        vault_git: The git base: a folder, an ssh address, a hosted service.
        vault_data: The stores, as URL or ``NAME=URL``; that of an object store may end in
            ``?endpoint_url=…&region=…``.
        who: Becomes the first person of the keep.
        now: The time that is written down.
        progress: Is told what was made.

    Raises:
        AlreadyExists: The folder holds something else, or the vault another keep of this name.
        UsageError: The name or a store cannot be used; or a store lies in the keep, the git base or another store.
        SecretFound: An address holds a password.
        StoreUnreachable, AccessDenied, NoSpace: Of the vault.
    """
    root = _plain(Path(folder))
    keep_name = check_name(name, what="keep") if name else _named_by(root)
    file = _settings(root, keep_name, vault_git, vault_data)
    if (root / KEEP_FILE).is_file():
        return _already_made(root, file, progress)
    _require_unused(root)
    _require_apart(root, file)
    if not vault_data:
        _make_default_vault(Path(file.vault.stores[0].url).parent)
    for store in file.vault.stores:
        _warn_of_personal(store, progress)
        create_store(
            store.name,
            store.url,
            keep=keep_name,
            now=now,
            endpoint_url=store.endpoint_url,
            region=store.region,
        )
    url = vault.keep_url(file.vault.git, keep_name)
    vault.create_bare(url, file.vault.create_command, name=keep_name, make_base=True)
    repository = KeepRepository.create(root, url)
    files = _first_files(file, who, now)

    def first(tree: KeepTree) -> Change:
        if tree.commit is not None and tree.read(KEEP_FILE) != files[KEEP_FILE]:
            raise AlreadyExists(
                f"the vault has a keep named {keep_name} already",
                next_step=f"clone it: git clone {url} {root}; or choose another name: --name",
            )
        return Change() if tree.commit is not None else Change(files=files)

    repository.transact(first, f"The keep {keep_name}", who, when=now, progress=progress)
    return Made(open_keep(root, progress), created=True)


def _named_by(root: Path) -> str:
    """The folder's name, if a keep can have it: a name lasts, so nobody but the user changes it.

    Raises:
        UsageError: It cannot; says what to type.
    """
    if NAME.fullmatch(root.name):
        return root.name
    near = re.sub(r"[^a-z0-9]+", "-", root.name.lower()).strip("-")[:100] or "vision"
    raise UsageError(
        f"the folder's name, {root.name!r}, cannot be the keep's: only a-z, 0-9 and '-'",
        next_step=f"name the keep: datakeep init {shlex.quote(str(root))} --name {near}",
    )


def _settings(root: Path, name: str, vault_git: str | None, vault_data: Sequence[str]) -> KeepFile:
    beside = root.with_name(f"{root.name}.vault")
    stores = [_store(text, place) for place, text in enumerate(vault_data)]
    stores = stores or [{"name": "main", "url": str(beside / "data")}]
    fields = {
        "format": KeepFile.format_line(),
        "name": name,
        "vault": {"git": absolute_url(vault_git) if vault_git else str(beside / "git"), "stores": stores},
        "policy": {"copies": 2, "renew_every": "180d", "require": list(REQUIRED)},
    }
    names = [store["name"] for store in stores]
    if len(set(names)) != len(names):
        raise UsageError(
            "two stores have the same name", next_step="name them: --vault-data nas=/mnt/nas/keep"
        )
    check_writable(fields)
    return validate(KeepFile, fields, "the keep's settings")


def _store(text: str, place: int) -> dict[str, str]:
    name, equals, url = text.partition("=")
    if not equals or "/" in name or ":" in name:
        name, url = "main" if place == 0 else f"store-{place + 1}", text
    return store_fields(name, url)


def store_fields(name: str, url: str) -> dict[str, str]:
    """What keep.yaml says of a store; endpoint and region, which the URL may bring, are fields of their own.

    Raises:
        UsageError: The name or the URL cannot be used.
        SecretFound: There is a secret in it.
    """
    plain, endpoint_url, region = split_url(url)
    fields = {
        "name": check_name(name, what="store"),
        "url": absolute_url(plain),
        "endpoint_url": endpoint_url,
        "region": region,
    }
    return {field: value for field, value in fields.items() if value is not None}


def absolute_url(url: str) -> str:
    """URLs are stored absolute: a relative path means the user's folder now, and nothing elsewhere later."""
    path = local_path(url)
    return str(_plain(path)) if path is not None and not url.startswith("file://") else url


def _make_default_vault(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AccessDenied(
            f"the vault {folder} cannot be made: {error.strerror}",
            next_step="choose another place for the keep, or name the vault: --vault-git BASE --vault-data URL",
        ) from error


def _plain(path: Path) -> Path:
    """Absolute and without ``..``, as a person would write it; symbolic links stay."""
    return Path(os.path.normpath(path.absolute()))


def _require_unused(root: Path) -> None:
    if root.exists() and not root.is_dir():
        raise AlreadyExists(f"{root} is a file", next_step="choose another folder for the keep")
    if root.is_dir() and any(entry.name not in (".git", ".datakeep") for entry in root.iterdir()):
        raise AlreadyExists(
            f"{root} is not empty",
            next_step="choose a new folder; data is registered into the keep later",
        )


def _already_made(root: Path, file: KeepFile, progress: Progress) -> Made:
    keep = open_keep(root, progress)
    if keep.file.vault.git == file.vault.git and keep.name == file.name:
        return Made(keep, created=False)
    raise AlreadyExists(
        f"{root} is already the keep {keep.name}, with its vault at {keep.file.vault.git}",
        next_step=f"choose another folder, or work in it: cd {root}",
    )


def _require_apart(root: Path, file: KeepFile) -> None:
    stores = [
        open_store(store.name, store.url, endpoint_url=store.endpoint_url, region=store.region)
        for store in file.vault.stores
    ]
    for place, store in enumerate(stores):
        require_apart(store, root, file.vault.git, stores[:place])


def _warn_of_personal(store: StoreEntry, progress: Progress) -> None:
    path = local_path(store.url)
    if scheme_of(store.url) == "gdrive":
        progress.warn(
            f"store {store.name} is a Google Drive: if it is a person's own, it goes when the account does"
        )
    if path is not None and _PERSONAL.search(str(path)):
        progress.warn(
            f"store {store.name} ({path}) is a personal cloud folder: it goes when the account does"
        )


def _first_files(file: KeepFile, who: Identity, now: datetime) -> dict[str, bytes | None]:
    handle, person = new_person(who.name, who.email, [], now.date(), taken=())
    readme = (
        f"# The keep {file.name}\n\nA register of datasets: what each is, whose, where its bytes are, and "
        "who has proven that they can carry it on. Made with datakeep; readable with git and an editor.\n\n"
        "- `register/`: one file per version of each dataset\n- `datasets/`: their repositories, as git "
        "submodules\n- `proofs/`: signed records of verifications\n- `models/`: what models were made of\n"
        "- `people/`: who is who, with their public keys\n\nEach dataset's own README.md says how to get it "
        "without datakeep.\n"
    )
    return {
        KEEP_FILE: yaml.dump(file.model_dump(mode="json", exclude_none=True)).encode("utf-8"),
        "README.md": readme.encode("utf-8"),
        ".gitignore": b"/.datakeep/\n",
        f"people/{handle}.yaml": person.dump().encode("utf-8"),
    }


def copies_sentence(keep: Keep) -> str:
    """A sentence about how many disks hold the bytes, for whoever made the keep."""
    stores = keep.file.vault.stores
    if len(stores) > 1:
        return f"{len(stores)} stores hold a copy each: {', '.join(store.name for store in stores)}"
    store = keep.recorded_stores()[0]
    return (
        f"there is one store only, {store}: the bytes die with {_what_dies(store)}. "
        "Add another, on another machine: datakeep vault add NAME URL"
    )


def _what_dies(store: Store) -> str:
    return (
        "that disk"
        if Capability.LOCAL in store.capabilities
        else "that bucket or server, or the account that pays for it"
    )
