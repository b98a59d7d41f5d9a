"""The options that say how a clean room is run, for ``verify`` and ``reference --measure``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from datakeep.workflows.clean_room import Settings
    from datakeep.workflows.keep import Keep


def clean_room_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function takes the options of :func:`settings_of`."""
    for option in (
        click.option("--credential-helper", help="Let git ask this credential helper of yours (https)."),
        click.option(
            "--ssh-key",
            type=click.Path(path_type=Path),
            help="The ssh key to clone with; else the agent is asked.",
        ),
        click.option(
            "--allow-build", is_flag=True, help="Build packages that have no wheel; this runs their code."
        ),
        click.option("--fresh-packages", is_flag=True, help="Download all packages anew."),
        click.option(
            "--sandbox",
            type=click.Choice(["bubblewrap", "none"]),
            default="bubblewrap",
            help="What keeps the training apart from this machine; 'none' is written into the proof.",
        ),
    ):
        function = option(function)
    return function


def settings_of(keep: Keep, options: dict[str, Any]) -> Settings:
    """How the clean room is run.

    Raises:
        ProgramMissing: No sandbox works here.
    """
    from datakeep.rerun.sandbox import find
    from datakeep.workflows.clean_room import Settings, access_for

    return Settings(
        sandbox=find(cast("Literal['bubblewrap', 'none']", options["sandbox"])),
        access=access_for(keep, ssh_key=options["ssh_key"], credential_helper=options["credential_helper"]),
        host_environment=dict(os.environ),
        fresh_packages=options["fresh_packages"],
        allow_build=options["allow_build"],
    )
