"""A timed process, started by a small one.

The most memory that a process held (``ru_maxrss``) begins with that of the process that started it, as Linux keeps
the figure over ``exec``: what is measured from within a benchmark that has loaded Arrow and DuckDB is never less than
that benchmark itself. So a Python that has loaded nothing starts it, waits, and tells.
"""

from __future__ import annotations

import json
import os
import sys
import time

TYPE_CHECKING = False  # typing itself is not loaded: this is the small process
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path


def ended(
    argv: Sequence[str], *, cwd: Path | None, env: Mapping[str, str], codes: Collection[int] = (0,)
) -> dict[str, float]:
    """Run ``argv`` to its end.

    Args:
        argv: Program and arguments.
        cwd: Where it runs.
        env: Its whole environment.
        codes: Exit codes that are no fault; any other ends the benchmark with what was printed.

    Returns:
        ``wall_s``; ``cpu_s``, user and system, with its children's; ``peak_bytes``, the most memory that it, or one
        of the children that it waited for, held.
    """
    import subprocess

    reading, writing = os.pipe()
    with os.fdopen(reading) as told:
        launcher = [sys.executable, "-I", "-S", __file__, str(writing), *map(str, argv)]
        process = subprocess.Popen(
            launcher, cwd=cwd, env=env, pass_fds=[writing], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        os.close(writing)
        output = process.communicate()[0]
        found = json.loads(told.read() or "{}")
    code = found.pop("code", process.returncode)
    if code not in codes:
        raise SystemExit(
            f"{' '.join(map(str, argv))} ended with {code}\n{output.decode(errors='replace')[-4000:]}"
        )
    return found


def main() -> None:
    """What the small process does: start, wait, tell."""
    descriptor, argv = int(sys.argv[1]), sys.argv[2:]
    os.set_inheritable(descriptor, False)
    began = time.perf_counter()
    process = os.posix_spawnp(argv[0], argv, os.environ)
    _, status, usage = os.wait4(process, 0)
    found = {
        "code": os.waitstatus_to_exitcode(status),
        "wall_s": time.perf_counter() - began,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_bytes": usage.ru_maxrss * 1024,
    }
    os.write(descriptor, json.dumps(found).encode())


if __name__ == "__main__":
    main()
