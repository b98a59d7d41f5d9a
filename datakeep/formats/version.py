"""``register/<dataset>/v3.yaml``: one registered version, never edited afterwards."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from datakeep.core.names import NAME, VERSION
from datakeep.formats.base import COMMIT, SHA256_ID, Document, Part

if TYPE_CHECKING:
    from datakeep.formats.manifest import Manifest


class LeftBy(Part):
    """A recorded training, as ``churn@v7``, and how many files of the version it had left before, by their bytes."""

    model: str = Field(pattern=rf"^{NAME.pattern}@{VERSION.pattern}$")
    files: int = Field(ge=1)


class VersionEntry(Document):
    """A register entry: enough to answer every question about the version without its repository."""

    kind: ClassVar[str] = "version"
    model_config = ConfigDict(title="register/<dataset>/<version>.yaml, a registered version")

    format: Literal["datakeep/version/1"] = "datakeep/version/1"
    dataset: str = Field(pattern=rf"^{NAME.pattern}$")
    version: str = Field(pattern=rf"^{VERSION.pattern}$")
    repository: str
    commit: str = Field(pattern=COMMIT)
    content: str = Field(pattern=SHA256_ID)
    inventory: str = Field(pattern=SHA256_ID)
    files: int = Field(ge=0)
    size_bytes: int = Field(ge=0)
    stores: list[str]
    registered_at: datetime
    registered_by: str
    message: str
    left_by: list[LeftBy] | None = None
    manifest: dict[str, Any]

    @property
    def owner(self) -> dict[str, Any]:
        """The manifest's owner, name and e-mail; empty if it states none, or nothing that is a person."""
        owner = self.manifest.get("owner")
        return owner if isinstance(owner, dict) else {}

    def manifest_model(self) -> Manifest:
        """The manifest as of that commit.

        Raises:
            InvalidFile: It does not hold what a manifest holds.
        """
        from datakeep.formats.manifest import Manifest  # late: it is the largest of the models

        return Manifest.of(self.manifest, what=f"the manifest of {self.dataset}@{self.version}")
