"""Whether a command that failed ran anything: of a program or script that is not there, a record tells nothing."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from datakeep.lineage import inputs
from datakeep.workflows.run_record import places_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datakeep.workflows.run_record import Seen

SCRIPT = re.compile(r"\.(?:py|pyw|sh|bash|R|r|jl|lua|ipynb|js|ts|pl|rb)$")
#: After it comes a text, not a script: ``-c``, ``-lc``.
_TEXT = re.compile(r"-[a-zA-Z]*c")
_INTERPRETER = re.compile(r"(?:python|pypy|Rscript|julia|node|perl|ruby|bash|sh|zsh)[\d.]*")
#: What a shell ends with where its last command cannot be executed, or is not there.
_AS_A_SHELL = frozenset({126, 127})


def nothing_ran(seen: Seen, *, started: bool) -> str:
    """Why nothing was trained, in words; empty where something was, or may have been.

    A shell ends with the same exit code where the last of many steps was not found, so what was seen decides: a
    command that read data or code, or left a file, ran. Whether it read what was piped to it nobody saw: it may have.

    Args:
        seen: What is known of it.
        started: Whether its program could be run at all.
    """
    if not started:
        return "the command could not be started"
    missing = _missing_script(seen.argv)
    if not seen.failure or not (missing or seen.exit_code in _AS_A_SHELL):
        return ""
    left = seen.out is not None and seen.out.is_dir() and any(seen.out.iterdir())
    if left or _may_have_read(seen, is_missing=bool(missing)):
        return ""
    if missing:
        return f"the command could not be started, there is no file {missing}"
    none_left = ", and none was left in --out" if seen.out else ""
    return f"the command ended with {seen.exit_code}; no file of data or code was seen read{none_left}"


def _may_have_read(seen: Seen, *, is_missing: bool) -> bool:
    read = seen.read
    if read is None or (seen.observed.why and (seen.observed.by == "strace" or not is_missing)):
        return True  # what a shell opened, the hook does not see
    streams = seen.observed.standard_input or seen.observed.pipes or seen.observed.connections
    if not is_missing and streams:
        return True
    kinds = inputs.classify(read.paths, places_of(seen, read.paths))
    return bool(kinds.undeclared or kinds.code or any(kinds.datasets.values()))


def _missing_script(argv: Sequence[str]) -> str | None:
    """The script that an interpreter was to run, if there is no such file."""
    if not _INTERPRETER.fullmatch(Path(argv[0]).name):
        return None
    at = next((at for at, word in enumerate(argv) if at and not word.startswith("-")), 0)
    if any(map(_TEXT.fullmatch, argv[1:at])) or not SCRIPT.search(argv[at]):
        return None
    return None if os.path.exists(argv[at]) else argv[at]  # noqa: PTH110  (Path's raises of a long name)
