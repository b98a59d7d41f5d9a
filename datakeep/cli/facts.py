"""The options of ``register``, ``adopt`` and ``update`` that state facts, made from the one table of facts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datakeep.cli.extraction import once, typed
from datakeep.cli.printable import printable
from datakeep.core.secrets import strip_url
from datakeep.workflows.facts import FACTS, Fact

if TYPE_CHECKING:
    from collections.abc import Callable

    from datakeep.cli.session import Session
    from datakeep.formats.version import VersionEntry
    from datakeep.workflows.facts import Ask


#: A person who is asked cannot give another option, but can say that there are none.
_ANNOTATION = "the file with the rules of annotation; or 'none: WHY' if there are none"


def fact_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function takes every fact as an option, and ``--manifest``."""
    for fact in reversed(FACTS):
        function = click.option(
            fact.option, fact.path.replace(".", "__"), help=_sentence(fact.meaning), **_settings(fact)
        )(function)
    manifest = click.option(
        "--manifest",
        type=click.Path(path_type=Path),
        help="A manifest file that states all at once, replacing what was stated; options win over it.",
    )
    return manifest(function)


without_option = click.option(
    "--without-store",
    "without_stores",
    multiple=True,
    metavar="NAME",
    help="Leave this store out this time, such as one that cannot be reached; may be repeated.",
)


profile_option = click.option(
    "--profile/--no-profile",
    "profile",
    default=None,
    help="Whether a profile of the tables (ranges, nulls, frequent values) is stored with the version; by default it "
    "is. It takes one more read of them.",
)


def _sentence(meaning: str) -> str:
    return f"{meaning[:1].upper()}{meaning[1:]}."


def _settings(fact: Fact) -> dict[str, Any]:
    if fact.kind == "splits":
        return {"multiple": True, "metavar": "NAME=PATTERN"}
    if fact.kind in ("people", "list", "caveats"):
        return {"multiple": True, "metavar": "TEXT"}
    if fact.kind == "choice":
        return {"type": click.Choice(fact.choices)}
    if fact.path == "source.database":
        return {"metavar": "TEXT", "multiple": True, "callback": once}
    return {"metavar": {"file": "FILE", "person": "'NAME <MAIL>'"}.get(fact.kind, "TEXT")}


def given(options: dict[str, Any]) -> dict[str, Any]:
    """Dotted field to text, of the facts that the user stated."""
    found = ((fact.path, options.get(fact.path.replace(".", "__"))) for fact in FACTS)
    return {path: value for path, value in found if value not in (None, ())}


def asker(session: Session) -> Ask | None:
    """Asks on the terminal; None where nobody can be asked."""
    if not session.interactive:
        return None

    def ask(fact: Fact, suggestion: str | None, refused: str | None) -> str:
        session.close()
        if refused is not None:
            click.echo(printable(f"  {refused}", on_terminal=True), err=True)
        meaning = _ANNOTATION if fact.path == "annotation.rules" else fact.meaning
        text = f"{fact.option[2:]} ({meaning})"
        suggestion = None if suggestion is None else printable(suggestion)
        if fact.choices:
            return str(click.prompt(text, default=suggestion, type=click.Choice(fact.choices), err=True))
        # An empty answer comes back, so that it is said that one is needed; click would only ask again.
        shown = suggestion is not None
        return str(click.prompt(text, default=suggestion or "", show_default=shown, err=True))

    return ask


def next_after(entry: VersionEntry) -> str:
    """What to type once a version is made: only a training with expected metrics can be verified."""
    reference = entry.manifest.get("reference")
    if not reference:
        return f"next: datakeep reference {entry.dataset} --code DIR --command … --measure 3"
    if not reference.get("expect"):
        return f"next: datakeep reference {entry.dataset} --measure 3"
    return f"next: datakeep verify {entry.dataset}"


def already(entry: VersionEntry) -> str:
    """What is said where another run was faster with the same contents."""
    return (
        f"nothing to record: {entry.registered_by} registered the same contents as "
        f"{entry.dataset}@{entry.version} at the same time ({entry.message})"
    )


def command_line(*words: object, options: dict[str, Any]) -> str:
    """What the user typed, as a line to repeat: command and arguments, then the options."""
    import shlex

    line = ["datakeep", *map(str, words), *typed(options)]
    for option in ("name", "backend", "data", "ssh_key", "credential_helper", "manifest"):
        value = options.get(option)
        for item in value if isinstance(value, tuple) else [value] if value else []:
            line += [f"--{option.replace('_', '-')}", str(item)]
    if options.get("profile") is not None:
        line.append("--profile" if options["profile"] else "--no-profile")
    for store in options.get("without_stores") or ():
        line += ["--without-store", store]
    for fact in FACTS:
        value = options.get(fact.path.replace(".", "__"))
        for item in value if isinstance(value, tuple) else [value] if value else []:
            line += [fact.option, strip_url(str(item))]
    return shlex.join(line)
