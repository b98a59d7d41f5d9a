"""``keep.yaml``: the keep's name, where its vault is, and what its policy requires."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar, Literal

from pydantic import ConfigDict, Field, field_validator

from datakeep.core.names import NAME
from datakeep.core.secrets import find_secret
from datakeep.formats.base import COMMIT, Document, Part

#: What a manifest must state, unless the keep's policy says otherwise.
REQUIRED = ("purpose", "owner", "source", "annotation", "privacy.personal", "license", "access")


def _without_secret(url: str | None) -> str | None:
    secret = find_secret(url or "")
    if secret:
        raise ValueError(f"holds {secret}; leave it out")
    return url


class StoreEntry(Part):
    """One store of the vault: a folder, a bucket with its server and region, or a folder on a server.

    Buckets are ``s3://``, ``gs://`` and ``az://``; servers ``ssh://``, ``webdavs://`` and whatever else DVC knows.
    Credentials are never here: they come from the environment, keys or profile of whoever is at work.
    ``filled_at`` is of a store that was added later: the keep's commit whose registered versions were all
    copied into it. Later versions name their stores themselves.
    """

    name: str = Field(pattern=rf"^{NAME.pattern}$")
    url: str = Field(min_length=1)
    endpoint_url: str | None = None
    region: str | None = None
    filled_at: str | None = Field(default=None, pattern=COMMIT)

    _no_secret = field_validator("url", "endpoint_url")(_without_secret)


class Vault(Part):
    """Where everything must survive: a git base and one or more stores."""

    git: str = Field(min_length=1)
    create_command: list[str] | None = None
    stores: list[StoreEntry] = Field(min_length=1)

    _no_secret = field_validator("git")(_without_secret)


class Policy(Part):
    """What the team asks of every dataset."""

    copies: int = Field(default=2, ge=1)
    renew_every: str = Field(default="180d", pattern=r"^[1-9][0-9]{0,4}d$")
    require: list[str] = Field(default_factory=lambda: list(REQUIRED))

    @property
    def renewal(self) -> timedelta:
        """How long a proof holds."""
        return timedelta(days=int(self.renew_every[:-1]))


class KeepFile(Document):
    """``keep.yaml`` as a whole."""

    kind: ClassVar[str] = "keep"
    model_config = ConfigDict(title="keep.yaml, the settings of a keep")

    format: Literal["datakeep/keep/1"] = "datakeep/keep/1"
    name: str = Field(pattern=rf"^{NAME.pattern}$")
    vault: Vault
    policy: Policy = Field(default_factory=Policy)
