"""``datakeep init``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from datakeep.cli.session import Answer, Session, command


@command(name="init")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--name", help="The keep's name; by default the folder's.")
@click.option(
    "--vault-git",
    metavar="BASE",
    help="Where repositories go: a folder, ssh://…, https://… (default DIR.vault/git).",
)
@click.option(
    "--vault-data",
    metavar="[NAME=]URL",
    multiple=True,
    help="A store for bytes: a folder, s3://…, gs://…, az://…, ssh://…, webdavs://…; may be repeated "
    "(default DIR.vault/data).",
)
def call(
    session: Session, folder: Path, name: str | None, vault_git: str | None, vault_data: tuple[str, ...]
) -> Answer:
    r"""Make a keep: the team's register of datasets, and the vault that holds them.

    \b
    Example:
      datakeep init my-keep
      datakeep init my-keep --vault-git ssh://git@git.corp.example/ml --vault-data nas=/mnt/nas/keep
      datakeep init my-keep --vault-data 's3://bucket/keep?endpoint_url=https://s3.corp.example&region=eu-1'
    """
    from datakeep.repository.identity import identity
    from datakeep.workflows.init import copies_sentence, init

    now = datetime.now().astimezone()
    made = init(
        folder,
        name=name,
        vault_git=vault_git,
        vault_data=vault_data,
        who=identity(None),
        now=now,
        progress=session.progress,
    )
    keep = made.keep
    stores = {store.name: store.url for store in keep.file.vault.stores}
    data = {
        "keep": str(keep.root),
        "name": keep.name,
        "created": made.created,
        "git": keep.file.vault.git,
        "stores": stores,
    }
    head = (
        f"made the keep {keep.name} in {keep.root}"
        if made.created
        else f"nothing to do: {keep.root} is the keep {keep.name}"
    )
    lines = [
        head,
        f"  repositories: {keep.file.vault.git}",
        *(f"  store {name}: {url}" for name, url in stores.items()),
        copies_sentence(keep),
        f"next: cd {keep.root} && datakeep register NAME SOURCE --backend git|dvc",
    ]
    return Answer(data, lines)


command = call
