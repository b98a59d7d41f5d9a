"""Which versions and which metric a trend is asked for, held against those that exist."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from datakeep.core.errors import UsageError
from datakeep.core.names import nearest, version_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datakeep.formats.version import VersionEntry
    from datakeep.workflows.keep import Keep

_RANGE = re.compile(r"(?P<first>v[1-9][0-9]*)?(?P<dots>\.\.)?(?P<last>v[1-9][0-9]*)?")
_FEW = 5


def chosen_versions(keep: Keep, last: VersionEntry, text: str | None) -> list[VersionEntry]:
    """The versions up to ``last`` that ``text`` asks for, oldest first; all without it.

    Raises:
        UsageError: It is no range, or names a version that does not exist.
    """
    versions = keep.versions(last.dataset)
    versions = versions[: versions.index(last.version) + 1]
    if text is not None:
        wanted: set[str] = set()
        for part in text.split(","):
            wanted |= set(_between(part.strip(), versions, last.dataset))
        versions = [version for version in versions if version in wanted]
    return [keep.entry(f"{last.dataset}@{version}") for version in versions]


def _between(part: str, versions: Sequence[str], dataset: str) -> list[str]:
    found = _RANGE.fullmatch(part)
    if not part or found is None:
        raise UsageError(
            f"--versions {part!r} is no range of versions",
            next_step="write it as --versions v1,v3..v5, or v3..",
        )
    first, last = found["first"], found["last"]
    if not found["dots"]:
        last = first or last
    low = version_number(first) if first else 1
    high = version_number(last) if last else version_number(versions[-1])
    within = [version for version in versions if low <= version_number(version) <= high]
    missing = next((name for name in (first, last) if name and name not in versions), None)
    if missing or not within:
        raise UsageError(
            f"--versions {part}: {dataset} has no version {missing or part} up to {versions[-1]}; "
            f"it has {_named(versions)}",
            next_step=f"datakeep log {dataset} lists them",
        )
    return within


def _named(versions: Sequence[str]) -> str:
    few = ", ".join(versions[:_FEW])
    return few if len(versions) <= _FEW else f"{versions[0]} to {versions[-1]}"


def require_likely(metric: str, stated: Sequence[str], last: VersionEntry) -> None:
    """``metric`` is none that was meant to be another one; the training may report more than is stated.

    Args:
        metric: The one that was named.
        stated: The metrics that the manifest tells of.
        last: The version whose training is fixed.

    Raises:
        UsageError: It is near a stated one.
    """
    near = _near(metric, stated)
    if metric not in stated and near is not None:
        raise UsageError(
            f"{last.dataset}@{last.version} states no metric {metric!r}; did you mean {near!r}? "
            f"It states {', '.join(dict.fromkeys(stated))}",
            next_step=f"datakeep trend {last.dataset} --metric {near}",
        )


def unreported(metric: str, reported: Sequence[str], last: VersionEntry) -> UsageError:
    """The training does not report the metric that was named."""
    near = _near(metric, reported)
    hint = f"; did you mean {near!r}?" if near else ""
    return UsageError(
        f"the training reports no metric {metric!r}; it reports {', '.join(reported)}{hint}",
        next_step=f"datakeep trend {last.dataset} --metric {near or reported[0]}",
    )


def _near(metric: str, known: Sequence[str]) -> str | None:
    return nearest(metric, known) or next((one for one in known if metric and one.startswith(metric)), None)
