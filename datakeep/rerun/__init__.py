"""The clean room: rebuilds an environment and runs a training where nothing of the host is seen.

Hands out its parts by module, so that nothing is imported that a caller does not need:

- :mod:`datakeep.rerun.interface`: what a sandbox is (``Sandbox``, ``Job``, ``Mount``, ``Finished``);
- :mod:`datakeep.rerun.sandbox`: ``find(kind)`` gives one that works here;
- :mod:`datakeep.rerun.environment`: ``rebuild`` makes the environment from a lock;
- :mod:`datakeep.rerun.training`: ``train`` runs the reference training and judges how it ended;
- :mod:`datakeep.rerun.trace`: which files and hosts a training asked for, as strace saw it.
"""

from __future__ import annotations

__all__ = ["environment", "interface", "sandbox", "trace", "training"]
