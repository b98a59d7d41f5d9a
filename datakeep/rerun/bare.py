"""``--sandbox none``: the job runs on the host as it is; only its variables and its home are its own.

Nothing hides the host's files or network, and proofs say so.
"""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

from datakeep.rerun import process
from datakeep.rerun.interface import HOME_PREFIX

if TYPE_CHECKING:
    from datakeep.rerun.interface import Finished, Job, Kind, Mount


class Bare:
    """Runs jobs without a sandbox."""

    kind: Kind = "none"
    version: str | None = None

    def inside(self, mount: Mount) -> str:
        """The real path: nothing can be moved."""
        return str(mount.source)

    def run(self, job: Job) -> Finished:
        """Runs ``job``; processes that it leaves behind, even in sessions of their own, are killed.

        Its home lies beside its log, so that who clears that away after a kill clears both.
        """
        with tempfile.TemporaryDirectory(
            prefix=HOME_PREFIX, dir=job.log.parent, ignore_cleanup_errors=True
        ) as home:
            return process.run(
                job.argv,
                log=job.log,
                timeout_s=job.timeout_s,
                environment={"HOME": home, "TMPDIR": home, **job.environment},
                cwd=job.cwd,
            )
