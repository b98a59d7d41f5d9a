"""Rebuilds the environment of a training from its lock, by uv, inside the sandbox.

uv has the network, but can write only to the environment and to a cache of its own, and takes wheels
only, so that no package's code runs. What it needs to reach an index (CA, proxy, index) is an allow-list.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import re
import shutil
import tempfile
import time
import tomllib
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote, urlsplit

from datakeep.core.errors import AccessDenied, NoSpace, Unsupported
from datakeep.rerun.environment_faults import LockInvalid, RebuildTimedOut, classify
from datakeep.rerun.interface import CACHE, CODE, ENVIRONMENT, TOOLS, Job, Mount
from datakeep.rerun.interpreter import Interpreter, find, uv_program
from datakeep.rerun.printed import without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from datakeep.core.progress import Progress
    from datakeep.formats.manifest import Environment
    from datakeep.rerun.interface import Sandbox

#: What may reach the package index on the way to it; nothing else of the host's variables is let in.
TRANSPORT = frozenset(
    {"SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"}
    | {"https_proxy", "http_proxy", "all_proxy", "no_proxy"}
    | {"UV_INDEX", "UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS"}
    | {"UV_NATIVE_TLS", "UV_SYSTEM_CERTS", "UV_HTTP_TIMEOUT", "UV_HTTP_RETRIES", "UV_INSECURE_HOST"}
)
#: Variables of the transport whose values name files or folders of this machine.
_PATHS = frozenset({"SSL_CERT_FILE", "SSL_CERT_DIR", "UV_INDEX", "UV_INDEX_URL", "UV_DEFAULT_INDEX"}) | {
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
}
_REBUILD_TIMEOUT_S = 3600
_PREPARED = re.compile(r"^Prepared (\d+) packages?", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class EnvironmentReport:
    """What was rebuilt, for the proof and the model record.

    Args:
        kind: ``uv`` for a uv lock, ``requirements`` for requirements with hashes.
        python: Version of the interpreter.
        platform: The machine's, as Python names it.
        lock_sha256: ``sha256:`` and the digest of the lock file.
        packages: Version by name of all that is installed.
        installed: How many packages.
        from_cache: How many of them came from datakeep's own cache instead of the index.
        fresh: The cache was bypassed.
        transport: The settings that were let in, without secrets.
        interpreter: The interpreter of this machine that it uses; the training's room needs it too.
        wall_s: Seconds that it took.
    """

    kind: Literal["uv", "requirements"]
    python: str
    platform: str
    lock_sha256: str
    packages: Mapping[str, str]
    installed: int
    from_cache: int
    fresh: bool
    transport: Mapping[str, str]
    interpreter: Interpreter
    wall_s: float


@dataclass(frozen=True, slots=True)
class _Plan:
    """Everything that the runs of uv share."""

    code: Path
    lock: Path
    destination: Path
    cache: Path
    interpreter: Interpreter
    transport: Mapping[str, str]
    sandbox: Sandbox
    log: Path
    flags: tuple[str, ...]
    mounts: dict[str, Mount] = field(default_factory=dict)


def default_cache() -> Path:
    """Where packages are kept between rebuilds."""
    from platformdirs import user_cache_path

    return user_cache_path("datakeep") / "uv"


def transport_of(host_environment: Mapping[str, str]) -> dict[str, str]:
    """The part of the host's variables that may be let in to reach a package index."""
    return {name: value for name, value in host_environment.items() if name in TRANSPORT and value}


def rebuild(
    environment: Environment,
    code: Path,
    destination: Path,
    *,
    sandbox: Sandbox,
    cache: Path,
    fresh_packages: bool = False,
    allow_build: bool = False,
    transport: Mapping[str, str],
    progress: Progress,
) -> EnvironmentReport:
    """Makes the virtual environment of ``environment`` in the empty folder ``destination``.

    Args:
        environment: What the manifest says.
        code: The folder that the paths in ``environment`` are relative to.
        destination: Created; must be empty.
        sandbox: Where uv runs.
        cache: uv's cache, such as :func:`default_cache`. Not used where packages may be built: what a
            build leaves in a cache would be trusted by the next one.
        fresh_packages: Download everything anew.
        allow_build: Let uv build packages that have no wheel, which runs their code.
        transport: See :func:`transport_of`.
        progress: Told the stage.

    Raises:
        EnvironmentFault: It cannot be rebuilt; ``acts`` says who must act.
        NoSpace: The disk is full.
        Unsupported: The environment is a container image.
    """
    started = time.monotonic()
    lock = _lock_of(environment, code)
    interpreter = find(environment.python)
    progress.stage("environment", unit="packages")
    with _places(destination, cache, fresh=fresh_packages or allow_build) as (own_cache, scratch):
        plan = _Plan(
            code=code.resolve(),
            lock=lock,
            destination=destination.resolve(),
            cache=own_cache,
            interpreter=interpreter,
            transport=transport,
            sandbox=sandbox,
            log=scratch / "uv.log",
            flags=() if allow_build else ("--no-build",),
        )
        _uv(plan, "venv", "--no-project", "--no-config", "--python", str(interpreter.executable), _env(plan))
        said = _sync_lock(plan) if environment.lock else _sync_requirements(plan)
    packages = _installed(destination)
    prepared = sum(int(count) for count in _PREPARED.findall(said))
    progress.advance(len(packages))
    return EnvironmentReport(
        kind="uv" if environment.lock else "requirements",
        python=interpreter.version,
        platform=platform.platform(),
        lock_sha256=f"sha256:{hashlib.sha256(lock.read_bytes()).hexdigest()}",
        packages=packages,
        installed=len(packages),
        from_cache=max(len(packages) - prepared, 0),
        fresh=fresh_packages or allow_build,
        transport={name: without_secrets(value) for name, value in sorted(transport.items())},
        interpreter=interpreter,
        wall_s=time.monotonic() - started,
    )


def _lock_of(environment: Environment, code: Path) -> Path:
    """The lock file, which must lie in ``code``; a link out of it would name a file of the host."""
    if environment.image:
        raise Unsupported(
            f"the environment is the container image {environment.image}; this version rebuilds uv locks and "
            "requirements with hashes",
            next_step="lock the environment with uv (uv lock), then: datakeep reference NAME --lock FILE",
        )
    name = environment.lock or environment.requirements or ""
    lock = (code / name).resolve()
    if not lock.is_relative_to(code.resolve()) or not lock.is_file():
        raise LockInvalid(
            f"the lock file {name} is not there",
            next_step="have the owner name the right one: datakeep reference NAME --lock FILE",
        )
    if environment.lock and lock.name != "uv.lock":
        raise LockInvalid(
            f"{name} is not a uv lock: uv reads uv.lock beside its pyproject.toml only",
            next_step="have the owner name uv.lock, or requirements with hashes: "
            "datakeep reference NAME --requirements FILE",
        )
    if environment.lock and not lock.with_name("pyproject.toml").is_file():
        raise LockInvalid(
            f"beside {name} there is no pyproject.toml, which uv needs to read it",
            next_step="have the owner add it to the code: datakeep reference NAME --code DIR",
        )
    if environment.lock:
        _check_hashes(lock, name)
    return lock


def _check_hashes(lock: Path, name: str) -> None:
    """Refuses a uv lock that takes a package by its name alone, as one from an index without hashes does."""
    try:
        packages = tomllib.loads(lock.read_text(encoding="utf-8")).get("package", [])
        bare = [
            str(package["name"])
            for package in packages
            if not {"git", "virtual", "editable", "directory"} & package["source"].keys()
            and not all(
                "hash" in file for file in [*package.get("wheels", []), package.get("sdist", {"hash": ""})]
            )
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise LockInvalid(
            f"{name} is not a uv lock: {error}",
            next_step="have the owner lock again (uv lock), then: datakeep reference NAME --code DIR",
        ) from error
    if bare:
        raise LockInvalid(
            f"{name} names packages without their hash, so other bytes could be installed",
            next_step="have the owner lock from an index that gives hashes: datakeep reference NAME --code DIR",
            things=bare,
        )


@contextmanager
def _places(destination: Path, cache: Path, *, fresh: bool) -> Iterator[tuple[Path, Path]]:
    """The cache to use and a scratch folder; a cache for one time only lies in the scratch folder."""
    try:
        destination.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".environment-", dir=destination.parent))
        own_cache = scratch / "cache" if fresh else cache
        own_cache.mkdir(parents=True, exist_ok=True)
    except PermissionError as error:
        raise AccessDenied(
            f"{error.filename} cannot be written", next_step="check its permissions"
        ) from error
    except OSError as error:
        raise NoSpace(
            f"{error.filename} cannot be made: {error.strerror}", next_step="free space, then run again"
        ) from error
    try:
        yield own_cache.resolve(), scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _sync_lock(plan: _Plan) -> str:
    project = PurePosixPath(plan.lock.parent.relative_to(plan.code).as_posix())
    folder = str(PurePosixPath(plan.sandbox.inside(Mount(plan.code, CODE))) / project)
    only_packages = ("--no-dev", "--no-install-project", "--no-install-workspace")
    python = str(plan.interpreter.executable)
    return _uv(plan, "sync", "--frozen", *only_packages, *plan.flags, "--python", python, "--project", folder)


def _sync_requirements(plan: _Plan) -> str:
    inside = (
        PurePosixPath(plan.sandbox.inside(Mount(plan.code, CODE)))
        / plan.lock.relative_to(plan.code).as_posix()
    )
    python = f"{_env(plan)}/bin/python"
    return _uv(plan, "pip", "sync", "--require-hashes", *plan.flags, "--python", python, str(inside))


def _env(plan: _Plan) -> str:
    return plan.sandbox.inside(Mount(plan.destination, ENVIRONMENT))


def _uv(plan: _Plan, *arguments: str) -> str:
    """Runs uv in the sandbox; what it printed."""
    program = Mount(uv_program(), f"{TOOLS}/uv")
    code, cache = Mount(plan.code, CODE), Mount(plan.cache, CACHE)
    inside = plan.sandbox.inside
    job = Job(
        argv=(inside(program), *arguments),
        cwd=inside(code),
        environment={
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "NO_COLOR": "1",
            "UV_NO_PROGRESS": "1",
            "UV_CACHE_DIR": inside(cache),
            "UV_LINK_MODE": "copy",
            "UV_PROJECT_ENVIRONMENT": _env(plan),
            "UV_PYTHON_DOWNLOADS": "never",
            **plan.transport,
        },
        log=plan.log,
        timeout_s=_REBUILD_TIMEOUT_S,
        read_only=(program, code, *plan.interpreter.mounts(), *_local(plan.transport)),
        writable=(cache, Mount(plan.destination, ENVIRONMENT)),
        network=True,
    )
    finished = plan.sandbox.run(job)
    if finished.timed_out:
        raise RebuildTimedOut(
            f"rebuilding the environment took more than {_REBUILD_TIMEOUT_S // 60} minutes",
            next_step="check the network, then run this again: what was downloaded is kept",
        )
    if not finished.succeeded:
        raise classify(finished.output_tail, secrets=_passwords(plan.transport))
    return finished.output_tail


def _local(transport: Mapping[str, str]) -> Iterator[Mount]:
    """Certificates and folders of wheels that the transport names, at the same paths."""
    for name in _PATHS & transport.keys():
        for value in re.split(r"[\s,]+", transport[name]):
            plain = value.partition("=")[2] if "=" in value and "://" in value else value
            path = Path(unquote(urlsplit(plain).path) if plain.startswith("file://") else plain)
            if path.is_absolute() and path.exists() and not path.is_relative_to("/usr"):
                yield Mount(path.resolve(), str(path))


def _passwords(transport: Mapping[str, str]) -> list[str]:
    found = []
    for value in transport.values():
        for url in value.split():
            try:
                password = urlsplit(url).password
            except ValueError:
                continue
            found += [password] if password else []
    return found


def _installed(folder: Path) -> dict[str, str]:
    """Name and version of each package that lies in the environment."""
    places = [str(path) for path in folder.glob("lib/python3*/site-packages")]
    found = importlib.metadata.distributions(path=places)
    named = ((item.metadata["Name"], item.version) for item in found)
    return {os.fsdecode(name): version for name, version in sorted(named) if name}
