"""The one way in which datakeep runs git: argument lists, no prompts, and errors that say what to do.

Everything else in this room calls git through :class:`GitRunner`, so that what must hold for every
call (no shell, no hooks, no variables of an enclosing git) is written once.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from datakeep.core.errors import GitFault, HostileRepository, ProgramMissing, StoreUnreachable
from datakeep.core.secrets import strip_url
from datakeep.repository.faults import git_fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from io import BufferedReader

_OBJECT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
#: Variables that bind a git process to one repository (``git rev-parse --local-env-vars``). They are set
#: when datakeep is called from a git hook, and would send our calls to the wrong repository.
_LOCAL_VARIABLES = frozenset(
    {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_CONFIG",
        "GIT_CONFIG_PARAMETERS",
        "GIT_CONFIG_COUNT",
        "GIT_OBJECT_DIRECTORY",
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_GRAFT_FILE",
        "GIT_INDEX_FILE",
        "GIT_NO_REPLACE_OBJECTS",
        "GIT_REPLACE_REF_BASE",
        "GIT_PREFIX",
        "GIT_SHALLOW_FILE",
        "GIT_COMMON_DIR",
        "GIT_INTERNAL_SUPER_PREFIX",
        "GIT_NAMESPACE",
        "GIT_QUARANTINE_PATH",
    }
)
#: English, which the rules for errors rely on.
_LANGUAGE = {"LC_ALL": "C", "LANGUAGE": "C"}
#: Helpers of git for other transports: ``<helper>::<address>``, of which ``ext`` runs any program that it is told.
_HELPER = re.compile(r"([A-Za-z0-9][A-Za-z0-9+.-]*)?::|ext://")
#: Settings that hold for every call, whatever the user's own configuration says.
_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.quotePath=false",
    "core.fsmonitor=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "push.recurseSubmodules=no",
    "protocol.ext.allow=never",
    "advice.detachedHead=false",
)


@dataclass(frozen=True, slots=True)
class Finished:
    """One git call that has ended."""

    exit_code: int
    stdout: bytes
    stderr: str

    @property
    def text(self) -> str:
        """Standard output as text, without the last line end."""
        return self.stdout.decode("utf-8", "surrogateescape").removesuffix("\n")


class Process(subprocess.Popen[bytes]):
    """A git at work; all of its pipes are open."""

    stdin: IO[bytes]
    stdout: BufferedReader
    stderr: IO[bytes]


@dataclass(frozen=True, slots=True)
class GitRunner:
    """Runs git in one folder.

    Args:
        folder: Where git runs; None means the user's folder.
        environment: Variables on top of the host's, or the only ones where ``isolated``.
        isolated: Nothing of the host's environment is passed on.
        settings: ``key=value`` for ``git -c``, after those that always hold.
        timeout_s: After so long the call and all of its children are ended.
    """

    folder: Path | None
    environment: Mapping[str, str] = field(default_factory=dict)
    isolated: bool = False
    settings: Sequence[str] = ()
    timeout_s: float | None = None

    def run(
        self,
        *arguments: str,
        stdin: bytes | None = None,
        allow: tuple[int, ...] = (0,),
        doing: str | None = None,
        url: str | None = None,
        meanwhile: Callable[[], object] | None = None,
    ) -> Finished:
        """One git call, to its end.

        Args:
            arguments: The subcommand and what follows.
            stdin: What git reads.
            allow: Exit codes that are answers, not faults.
            doing: What is tried, for the error: ``cannot fetch from …``.
            url: The other repository, for the error.
            meanwhile: Called while git, which is not to print much, is at work.

        Raises:
            DatakeepError: git ended with another code, or took too long; the family says why.
        """
        doing = doing or f"cannot run git {arguments[0]}{f' in {self.folder}' if self.folder else ''}"
        with self.process(*arguments, doing=doing) as process:
            if meanwhile:
                meanwhile()
            try:
                stdout, stderr = process.communicate(stdin, timeout=self.timeout_s)
            except subprocess.TimeoutExpired as error:
                raise StoreUnreachable(
                    f"{doing}: no end after {self.timeout_s:g} s",
                    next_step="check the network, or allow more time, then run the command again",
                ) from error
        finished = Finished(process.returncode, stdout, stderr.decode("utf-8", "replace"))
        if finished.exit_code not in allow:
            raise git_fault(finished.stderr, doing=doing, url=url)
        return finished

    def text(self, *arguments: str, stdin: bytes | None = None, doing: str | None = None) -> str:
        """Standard output of one call that must succeed."""
        return self.run(*arguments, stdin=stdin, doing=doing).text

    @contextmanager
    def process(self, *arguments: str, doing: str) -> Iterator[Process]:
        """A running git with open pipes; it is ended when the block ends."""
        process = self._start(arguments, doing)
        try:
            yield process
        finally:
            if process.poll() is None:
                self._end(process)
            for pipe in (process.stdin, process.stdout, process.stderr):
                with suppress(BrokenPipeError):  # what a killed git did not read is of no interest
                    pipe.close()

    def start(self, *arguments: str, doing: str) -> Process:
        """As :meth:`process`, for whoever ends it themselves."""
        return self._start(arguments, doing)

    def _start(self, arguments: Sequence[str], doing: str) -> Process:
        settings = [part for setting in (*_SETTINGS, *self.settings) for part in ("-c", setting)]
        try:
            return Process(
                ["git", *settings, *arguments],
                cwd=self.folder,
                env=self._variables(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=self.isolated,
            )
        except OSError as error:
            if isinstance(error, FileNotFoundError) and error.filename == "git":
                raise ProgramMissing(
                    "git cannot be run", next_step="install git (Debian and Ubuntu: sudo apt install git)"
                ) from error
            raise GitFault(
                f"{doing}: {error}", next_step="check that the folder exists and can be entered"
            ) from error

    def _variables(self) -> dict[str, str]:
        """The environment of a call."""
        host = {} if self.isolated else os.environ
        kept = {name: value for name, value in host.items() if name not in _LOCAL_VARIABLES}
        # Without optional locks, what only reads is in nobody's way: not in that of the user's own git, either.
        fixed = {"GIT_TERMINAL_PROMPT": "0", "GIT_LITERAL_PATHSPECS": "1", "GIT_OPTIONAL_LOCKS": "0"}
        return {**kept, **_LANGUAGE, **fixed, **self.environment}

    def _end(self, process: Process) -> None:
        with suppress(ProcessLookupError):
            if self.isolated:
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def is_object_id(text: str) -> bool:
    """Whether ``text`` is a full object id, as git prints it."""
    return _OBJECT.fullmatch(text) is not None


def check_object_id(text: str) -> str:
    """``text``, if it is a full object id; nothing else is ever passed to git as one.

    Raises:
        HostileRepository: It is anything else, such as an option.
    """
    if not is_object_id(text):
        raise HostileRepository(
            f"{text[:60]!r} stands where a git commit id is expected",
            next_step="ask who wrote it; do not use it",
        )
    return text


def check_url(url: str) -> str:
    """``url``, if git can be given it without harm.

    Raises:
        HostileRepository: It could be read as an option, names a program to run (``ext::…``), or holds a
            control character.
    """
    reason = None
    if not url or url.startswith("-"):
        reason = "could be read as an option of git"
    elif any(ord(character) < 32 or ord(character) == 127 for character in url):
        reason = "holds a control character"
    elif (ssh := ssh_place(url)) and ssh.destination.startswith("-"):
        reason = "has a host name that could be read as an option of ssh"
    elif _HELPER.match(url):
        reason = "names a program to run as its transport"
    if reason:
        raise HostileRepository(
            f"the repository address {strip_url(url)[:100]!r} {reason}",
            next_step="do not use it; ask who wrote it",
        )
    return url


@dataclass(frozen=True, slots=True)
class SshPlace:
    """A path on a host that is reached by ssh."""

    destination: str
    port: int | None
    path: str


def ssh_place(url: str) -> SshPlace | None:
    """Where an ssh address (``ssh://host/path`` or ``user@host:path``) points; None if it is not one."""
    if found := re.fullmatch(r"ssh://([^/]*?)(?::([0-9]+))?(/.*)", url):
        path = found[3].removeprefix("/~/") if found[3].startswith("/~/") else found[3]
        return SshPlace(found[1], int(found[2]) if found[2] else None, path)
    if "://" not in url and (found := re.fullmatch(r"([^/:]+):(?!:)(.+)", url)):
        return SshPlace(found[1], None, found[2])
    return None


def local_path(url: str) -> Path | None:
    """The folder that ``url`` names on this machine; None if it is elsewhere."""
    if url.startswith("file://"):
        from urllib.parse import unquote, urlsplit

        return Path(unquote(urlsplit(url).path))
    return Path(url) if "://" not in url and ssh_place(url) is None else None
