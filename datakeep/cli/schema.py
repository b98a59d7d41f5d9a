"""``datakeep schema``."""

from __future__ import annotations

import json

import click

from datakeep.cli.session import Answer, Session
from datakeep.cli.session import command as answering


@answering(name="schema")
@click.argument("kind", required=False)
def command(session: Session, kind: str | None) -> Answer:  # noqa: ARG001  (every command takes one)
    r"""Print the JSON Schema of a file format; without KIND, list the kinds.

    \b
    Example:
      datakeep schema
      datakeep schema dataset > dataset.schema.json
    """
    from datakeep.formats.schema import KINDS, schema

    if kind is not None:
        text = schema(kind)
        return Answer(json.loads(text), text.splitlines())
    kinds = {name: str(model.model_config.get("title") or "") for name, model in KINDS.items()}
    width = max(map(len, kinds))
    lines = [f"{name:<{width}}  {title}" for name, title in kinds.items()]
    return Answer({"kinds": kinds}, [*lines, "", "next: datakeep schema dataset"])
