"""The command group: knows every command's name and one-line help, imports only the one that is called."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from datakeep import __version__

#: Command name → (module, attribute, one-line help). The help stands here so that ``--help`` imports nothing.
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("demo", "Run the main job on two real datasets, in a temporary folder."),
    "init": ("init", "Make a keep and its vault."),
    "register": ("register", "Register a dataset."),
    "adopt": ("adopt", "Make a dataset of an existing git or DVC repository, with its history."),
    "update": ("update", "Make the next version of a dataset."),
    "reference": ("reference", "State the training that proves a dataset usable."),
    "verify": ("verify", "Prove, in a clean room, that someone else can carry a dataset on."),
    "run": ("run", "Run a training and record what its model was made of."),
    "record": ("record", "Record what a model trained elsewhere was made of, as you say it."),
    "audit": ("audit", "Tell what a model was made of."),
    "find": ("find", "Search datasets, models, people and files for words."),
    "whatis": ("whatis", "Tell whose bytes a hash, an object, a URL or a file is."),
    "list": ("listing", "List the datasets of the keep."),
    "show": ("show", "Show all that is known of a dataset."),
    "status": ("status", "Tell what needs attention in the keep, or in a checkout."),
    "log": ("log", "List the versions of a dataset."),
    "diff": ("diff", "Tell what changed between two versions."),
    "trend": ("trend", "Train one fixed training on each version, and tell where its metric dropped."),
    "fsck": ("fsck", "Check that every version is whole in every store, and repair it."),
    "checkout": ("checkout", "Get a version's files, every byte checked."),
    "people": ("people", "Add, list or depart the people of the keep."),
    "key": ("key", "Make the key that signs your proofs."),
    "proof": ("proof", "Hand in a proof that was made without the right to push."),
    "vault": ("vault", "List and check the stores of the vault, add or remove one."),
    "gc": ("gc", "List what nothing refers to in the stores, or delete it."),
    "check-sql": ("check_sql", "Tell whether what a query gives can be derived again."),
    "reextract": ("reextract", "Run a version's query again, and compare its rows with the version's."),
    "schema": ("schema", "Print the JSON Schema of a file format."),
}


def preformatted(docstring: str | None) -> str | None:
    r"""The help of a command, where ``\b`` on a line of its own keeps the line ends of the paragraph after it.

    click looks for the control character itself, which has no place in a source file.
    """
    return None if docstring is None else inspect.cleandoc(docstring).replace("\\b\n", "\b\n")


class Lazy(click.Group):
    """A group whose commands are imported when they are called."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.help = preformatted(self.help)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click's signature)
        """All names, in the order of a dataset's life."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of this name, imported now; None if there is none."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"datakeep.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list of commands for ``--help``, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but with the command that was probably meant."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from datakeep.core.names import nearest

            near = nearest(args[0], COMMANDS)
            hint = f" Did you mean '{near}'?" if near else " `datakeep --help` lists them."
            raise click.UsageError(f"There is no command '{args[0]}'.{hint}", ctx=error.ctx) from error


@dataclass(frozen=True, slots=True)
class Before:
    """What was said before the command, and holds for it as if it had been said behind."""

    keep_dir: Path | None = None
    as_json: bool = False


#: How the shell completes commands and options: click's own mechanism.
_COMPLETION = """\b
Completion, in the shell's start-up file:
  bash (~/.bashrc):  eval "$(_DATAKEEP_COMPLETE=bash_source datakeep)"
  zsh (~/.zshrc):    eval "$(_DATAKEEP_COMPLETE=zsh_source datakeep)"
  fish (~/.config/fish/completions/datakeep.fish):  _DATAKEEP_COMPLETE=fish_source datakeep | source
"""


@click.group(
    cls=Lazy,
    epilog=_COMPLETION,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="datakeep %(version)s")
@click.option(
    "-C", "keep_dir", type=click.Path(path_type=Path), default=None, help="Work in the keep at this folder."
)
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for machines.")
@click.pass_context
def datakeep(ctx: click.Context, keep_dir: Path | None, as_json: bool) -> None:
    r"""Keep machine-learning datasets from getting lost.

    \b
    Register a dataset, prove that someone else can carry it on, and tell what a model was made of:
      datakeep init my-keep && cd my-keep
      datakeep register orders ~/orders.csv --backend git
      datakeep verify orders
      datakeep audit model.joblib

    `datakeep demo` shows all of it on real data.
    """
    ctx.obj = Before(keep_dir, as_json)
