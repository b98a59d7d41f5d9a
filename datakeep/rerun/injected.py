"""Puts the audit hook into every Python that a training starts, by a ``sitecustomize`` on its PYTHONPATH.

The user's own ``sitecustomize`` still runs, after ours. A Python that is started without its environment
(``-I``, ``-E``) or without ``site`` (``-S``) does not get the hook.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from datakeep.rerun import audit_hook

if TYPE_CHECKING:
    from collections.abc import Mapping

_SITECUSTOMIZE = '''\
"""Tells datakeep which files this Python opens, then does what the user's own sitecustomize does."""

import os
import sys

_here = os.path.dirname(os.path.abspath(__file__))


def _watch():
    import _datakeep_audit_hook

    _datakeep_audit_hook.install({folder!r})


def _run_the_users_own():
    import importlib.machinery
    import importlib.util

    places = [place for place in sys.path if os.path.abspath(place or ".") != _here]
    found = importlib.machinery.PathFinder.find_spec("sitecustomize", places)
    if found is not None and found.loader is not None:
        module = importlib.util.module_from_spec(found)
        sys.modules["sitecustomize"] = module
        found.loader.exec_module(module)


try:
    _watch()
except Exception as error:
    sys.stderr.write("datakeep: what this Python reads is not seen: %s\\n" % error)
_run_the_users_own()
'''


def inject(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """``environment`` with the hook in it, which writes into ``folder``; the modules for it are put there.

    Args:
        environment: The training's variables.
        folder: An existing folder of absolute path.
    """
    modules = folder / "modules"
    modules.mkdir()
    source = Path(audit_hook.__file__).read_text("utf-8")
    (modules / "_datakeep_audit_hook.py").write_text(source, "utf-8")
    (modules / "sitecustomize.py").write_text(_SITECUSTOMIZE.format(folder=str(folder)), "utf-8")
    own = environment.get("PYTHONPATH")
    paths = [str(modules), *([own] if own else [])]
    return {**environment, "PYTHONPATH": os.pathsep.join(paths)}
