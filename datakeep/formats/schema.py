"""The JSON Schemas of all formats, generated from the models."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from datakeep.core.errors import UnknownName
from datakeep.core.names import nearest
from datakeep.formats.keep import KeepFile
from datakeep.formats.manifest import Manifest
from datakeep.formats.model import ModelRecord
from datakeep.formats.person import Person
from datakeep.formats.profile import Profile
from datakeep.formats.proof import Statement
from datakeep.formats.version import VersionEntry

if TYPE_CHECKING:
    from datakeep.formats.base import Part

#: Kind to model. The proof's is of the payload that its envelope holds; its major stands in the predicate's type.
KINDS: dict[str, type[Part]] = {
    **{kind.kind: kind for kind in (Manifest, KeepFile, Person, VersionEntry, ModelRecord, Profile)},
    "proof": Statement,
}


def schema(kind: str) -> str:
    """The JSON Schema (draft 2020-12) of one kind of file, as text.

    Raises:
        UnknownName: No such kind.
    """
    if kind not in KINDS:
        near = nearest(kind, KINDS)
        raise UnknownName(
            f"there is no kind of file {kind!r}" + (f"; did you mean {near!r}?" if near else ""),
            next_step=f"datakeep schema {near or 'dataset'}; known are {', '.join(KINDS)}",
        )
    model = KINDS[kind]
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:datakeep:{kind}:{getattr(model, 'major', 1)}",
    }
    return json.dumps({**head, **model.model_json_schema(by_alias=True)}, indent=2, ensure_ascii=False) + "\n"
