"""``datakeep demo``."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from datakeep.cli.session import Answer, Session, command
from datakeep.core.errors import DatakeepError

if TYPE_CHECKING:
    from datakeep.workflows.demo import Step


class DemoStopped(DatakeepError):
    """A command of the demo failed; what it said stands above."""

    exit_code = 32


@command(name="demo")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
def call(session: Session, folder: Path | None) -> Answer:
    r"""Run the main job on two real datasets: register, prove the handover, audit the models.

    Penguins (a CSV, in git) and digits (1,797 scans, in DVC's format) are registered by one person and
    verified by another, in a temporary folder. Each command is printed before it runs. The first run
    downloads the trainings' packages (about 70 MB).

    \b
    Example:
      datakeep demo
      datakeep demo ./demo
    """
    import tempfile

    from datakeep.workflows.demo import KEEP, prepare

    started = time.monotonic()
    place = folder.absolute() if folder else Path(tempfile.mkdtemp(prefix="datakeep-demo-"))
    steps = prepare(place)
    session.progress.note(f"the demo works in {place}")
    for step in steps:
        _run(step, quiet=session.as_json)
    took = f"{time.monotonic() - started:.0f} s"
    keep = place / "ken" / KEEP
    lines = [
        "",
        click.style(f"done in {took}", bold=True)
        + ": both datasets are proven by someone other than their owner.",
        f"the keep: {place / KEEP}   its vault: {place / KEEP}.vault",
        "try next:",
        f"  cd {keep}",
        "  datakeep show digits                 all that is known of it",
        "  datakeep log penguins                its versions",
        "  datakeep diff penguins@v1 penguins@v2",
        "  datakeep status                      what needs attention",
        f"  rm -r {place}   when you have seen enough",
    ]
    return Answer(
        {"folder": str(place), "keep": str(place / KEEP), "commands": [list(step.argv) for step in steps]},
        lines,
    )


def _run(step: Step, *, quiet: bool) -> None:
    if not quiet:
        click.echo()
        click.echo(click.style(f"# {step.why}", dim=True))
        click.echo(click.style(f"{step.actor.handle}$ {_shown(step.argv)}", bold=True))
        sys.stdout.flush()
    program = [sys.executable, "-m", "datakeep"] if step.argv[0] == "datakeep" else [step.argv[0]]
    done = subprocess.run(
        [*program, *step.argv[1:]],
        cwd=step.cwd,
        env=step.actor.variables(os.environ),
        stdout=subprocess.PIPE if quiet else None,
        check=False,
    )
    if done.returncode != 0:
        raise DemoStopped(
            f"the demo stopped: `{_shown(step.argv)}` ended with exit code {done.returncode}",
            next_step=f"read what it said above; its files are in {step.cwd}",
        )


def _shown(argv: tuple[str, ...]) -> str:
    return " ".join(word if set(word) <= _PLAIN else shlex.quote(word) for word in argv)


_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./@:=")

command = call
