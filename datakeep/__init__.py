"""datakeep keeps machine-learning datasets from getting lost.

This docstring is the map of the house; ``docs/house.md`` shows every room. Each floor imports only floors
below it, and rooms on one floor never import each other; a lint (import-linter) holds us to that.

==============  ==============================================================================================
floor           rooms
==============  ==============================================================================================
``cli``         one file per command: options, one call of a workflow, rendering; ``boundary`` alone turns
                errors into exit codes
``workflows``   one verb per file: init, register, update, reference, verify, audit, …
rooms           ``store`` (bytes), ``repository`` (git), ``extract`` (what files hold), ``rerun`` (the clean
                room), ``lineage`` (what models were made of), ``attest`` (keys, signatures, proofs),
                ``tracking`` (what MLflow and W&B tell), ``exchange`` (answers for others: pages, formats)
``formats``     a pydantic model of every file on disk; beside it ``samples``, two real datasets
``core``        digests, names, path rules, verdicts, errors; pure, no I/O
==============  ==============================================================================================

From Python, a keep is opened and asked; what the commands do is one function each in ``workflows``::

    import datakeep

    keep = datakeep.open_keep("my-keep")
    for name in keep.datasets:
        entry = keep.entry(name)
        print(entry.dataset, entry.version, entry.content, entry.manifest_model().owner)

A training in a notebook or script is recorded by :func:`training`::

    with datakeep.training(model="churn", keep="my-keep") as t:
        data = t.use("orders@v3")              # a folder: verified, read-only
        ...
        t.log(accuracy=0.9)
        t.save("model.joblib")

Everything that goes wrong is a :class:`datakeep.DatakeepError`; ``datakeep.errors`` has all of its kinds.
Importing the package costs nothing: what it hands out is loaded when it is first used.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing would cost more than all the rest, in programs that stand around a training
if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from typing import Any

    from datakeep.core import errors
    from datakeep.core.errors import DatakeepError
    from datakeep.core.progress import Progress
    from datakeep.workflows.keep import Keep
    from datakeep.workflows.training import Training

__all__ = ["DatakeepError", "Keep", "Training", "__version__", "errors", "open_keep", "training"]

__version__ = "0.1.0"

#: Public name → (module, attribute; None is the module itself), loaded when it is first asked for.
_LAZY: dict[str, tuple[str, str | None]] = {
    "DatakeepError": ("datakeep.core.errors", "DatakeepError"),
    "Keep": ("datakeep.workflows.keep", "Keep"),
    "Training": ("datakeep.workflows.training", "Training"),
    "errors": ("datakeep.core.errors", None),
}


def __getattr__(name: str) -> Any:
    """The public name, loaded now."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    module_name, attribute = _LAZY[name]
    module = importlib.import_module(module_name)
    return module if attribute is None else getattr(module, attribute)


def __dir__() -> list[str]:
    """The public names, and what is loaded by now."""
    return sorted({*globals(), *__all__})


def open_keep(path: str | os.PathLike[str] = ".", *, progress: Progress | None = None) -> Keep:
    """The keep that ``path`` lies in, as of its newest commit in this clone.

    Args:
        path: The keep's folder, or one in it.
        progress: Is told what is going on; by default nobody is.

    Raises:
        NotAKeep: There is no keep at ``path`` or above it.
        InvalidFile: Its keep.yaml cannot be read.
    """
    import importlib
    from pathlib import Path

    # By name, as in __getattr__: the layers' lint would take an import here for one by every floor.
    opening = importlib.import_module("datakeep.workflows.keep").open_keep
    silent = importlib.import_module("datakeep.core.progress").Silent
    keep: Keep = opening(Path(path), silent() if progress is None else progress)
    return keep


def training(
    model: str,
    *,
    keep: str | os.PathLike[str] = ".",
    base: str | Sequence[str] = (),
    out: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    mlflow: str | bool | None = None,
) -> Training:
    """A block whose training is recorded: what it reads, what it measures, and the files that it leaves.

    At the end of the block the record is committed to the keep and pushed, as the next version of the model; who
    may not push gets a file to hand in. An error in the block leaves a record with ``status: failed`` and is raised
    again; Ctrl-C leaves none. What was read is seen by Python's audit hook, since strace cannot be put around a
    program that runs already: libraries that open files in C (Arrow, DuckDB) and other programs are not seen, and the
    record says so. ``datakeep run`` sees them.

    Args:
        model: Its name: lower-case letters, digits and ``-``.
        keep: The keep's folder, or one in it.
        base: Recorded models that it starts from: ``["resnet@v1"]``.
        out: A new or empty folder; the files in it at the end of the block are in the record, each with its sha256,
            and the numbers of its ``metrics.json``. It is ``t.out``, and ``DATAKEEP_OUT`` for programs that are
            started in the block. Without it, :meth:`Training.save` names files one by one.
        progress: Is told what is going on; by default lines on the standard error output.
        mlflow: The tracking URI of an MLflow server to log to; by default the one that MLflow is set up for in this
            process, or that ``MLFLOW_TRACKING_URI`` names, if any; ``False`` logs nothing.

    Returns:
        A context manager with ``use``, ``log`` and ``save``.

    Raises:
        NotAKeep: There is no keep at ``keep`` or above it.
        NoIdentity: git does not know who you are.
        UsageError: The name is none, or another training's block is open.
        UnknownName: A base model has no record.
        AlreadyExists, AccessDenied: ``out`` is a file or not empty, or cannot be made.
        TrackerMissing: ``mlflow`` names a server, and MLflow's client is not installed.
    """
    import importlib

    made: Training = importlib.import_module("datakeep.workflows.training").Training(
        model, keep, base, progress, out, mlflow
    )
    return made
