"""The answer of ``datakeep audit`` for others: ``--html FILE`` and ``--format``."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datakeep.cli.printable import printable
from datakeep.cli.session import Answer
from datakeep.cli.tampered_lines import tampered_lines
from datakeep.core.errors import Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from datakeep.exchange.answer import Answer as Graph
    from datakeep.workflows.audit import Audit
    from datakeep.workflows.keep import Keep
    from datakeep.workflows.used_by import FileUsedBy, UsedBy
    from datakeep.workflows.written_once import Tampered

FORMATS = ("openlineage", "prov", "cyclonedx")


@dataclass(frozen=True, slots=True)
class Export:
    """What the answer is wanted as, beside the terminal.

    Args:
        html: The page's file.
        form: One of :data:`FORMATS`.
        output: The file for ``form``; standard output by default.
        force: Files that are not ours may be replaced.
    """

    html: Path | None = None
    form: str | None = None
    output: Path | None = None
    force: bool = False

    def check(self, *, as_json: bool) -> None:
        """What contradicts itself, or cannot be written, is said before the question is asked.

        Raises:
            click.UsageError: The options do not go together.
            AlreadyExists, SourceMissing: A file cannot be written.
        """
        from datakeep.workflows.report_file import check_place

        if self.output and not self.form:
            raise click.UsageError(f"--output is the file of a --format: {', '.join(FORMATS)}")
        if self.form and as_json and not self.output:
            raise click.UsageError(
                "--json and --format both go to the standard output; give --format a file: --output FILE"
            )
        for file in (self.html, self.output):
            if file is not None:
                check_place(file, force=self.force)


def export_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function takes ``export``, an :class:`Export`, in place of four options."""

    def call(
        *args: Any, html: Path | None, form: str | None, output: Path | None, force: bool, **rest: Any
    ) -> Any:
        return function(*args, export=Export(html, form, output, force), **rest)

    call.__name__, call.__doc__ = function.__name__, function.__doc__
    for option in (
        click.option("--force", is_flag=True, help="Replace FILE even where it is no report of datakeep's."),
        click.option(
            "--output",
            "-o",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Write the --format to this file.",
        ),
        click.option(
            "--format",
            "form",
            type=click.Choice(FORMATS),
            help="Answer in a standard form: OpenLineage events, one a line; W3C PROV as PROV-JSON; a CycloneDX 1.6 "
            "bill of materials of a model.",
        ),
        click.option(
            "--html",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Write the answer as one page that needs nothing else, with the graph.",
        ),
    ):
        call = option(call)
    return call


def exported(
    keep: Keep,
    found: Audit | UsedBy | FileUsedBy,
    subject: str,
    shown: Answer,
    export: Export,
    now: datetime,
    tampered: Sequence[Tampered],
) -> Answer:
    """``shown``, or what takes its place, once the page and the format are written.

    Raises:
        Unsupported: The form cannot say this answer.
        AlreadyExists, NoSpace, AccessDenied: A file cannot be written.
    """
    if export.html is None and export.form is None:
        return shown
    from datakeep.workflows.exported import answer_of
    from datakeep.workflows.report_file import write_report

    graph = answer_of(keep, found, subject, now=now, tampered=tampered)
    if graph is None and shown.code == 0:
        raise Unsupported(
            f"nothing was written: of {subject} it is known who read its bytes, and no more, which is no graph",
            next_step="leave out --html and --format; datakeep audit model:NAME --html FILE is of one of them",
        )
    if graph is None:
        nothing = "nothing was written: the keep has no record to make it of"
        return replace(shown, data={**shown.data, "written": []}, lines=[*shown.lines, nothing])
    texts = {}
    if export.html is not None:
        from datakeep.exchange.page import page

        texts[export.html] = page(graph)
    formed = _formed(graph, export.form) if export.form else None
    if formed is not None and export.output is not None:
        texts[export.output] = formed
    for file, text in texts.items():
        write_report(file, text.encode("utf-8"), force=export.force)
    if formed is not None and export.output is None:
        click.echo(_for_this_terminal(formed), nl=False)
        for file in texts:
            click.echo(f"wrote {file}", err=True)
        for line in tampered_lines(tampered):
            click.echo(printable(line), err=True)
        return Answer({}, (), shown.code)
    lines = [f"wrote {file} ({len(text.encode('utf-8')):,} bytes)" for file, text in texts.items()]
    lacking = len(graph.not_known())
    lines.append(f"in it: {len(graph.nodes)} datasets and models, {lacking} lines of what is not known")
    data = {**shown.data, "written": [str(file) for file in texts]}
    return Answer(data, [*tampered_lines(tampered), *lines], shown.code)


def _formed(graph: Graph, form: str) -> str:
    if form == "openlineage":
        from datakeep.exchange.openlineage import openlineage

        return openlineage(graph)
    if form == "prov":
        from datakeep.exchange.prov import prov

        return prov(graph)
    from datakeep.exchange.cyclonedx import cyclonedx

    return cyclonedx(graph)


def _for_this_terminal(text: str) -> str:
    """JSON that the terminal's encoding can take."""
    encoding = (getattr(sys.stdout, "encoding", None) or "utf-8").lower()
    if encoding in ("utf-8", "utf8"):
        return text
    units = (text[at : at + 1] for at in range(len(text)))
    return "".join(one if one.isascii() else _numbered(one) for one in units)


def _numbered(letter: str) -> str:
    r"""A letter as JSON's ``\u`` numbers, two of them beyond the first plane."""
    data = letter.encode("utf-16-be")
    return "".join(f"\\u{data[at : at + 2].hex()}" for at in range(0, len(data), 2))
