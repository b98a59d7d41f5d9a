"""What can go wrong between datakeep and a tracker of experiments."""

from __future__ import annotations

from datakeep.core.errors import InvalidFile, ProgramMissing, StoreUnreachable


class TrackerUnreachable(StoreUnreachable):
    """An MLflow server does not answer, is none, or does not do what it was asked."""


class TrackerMissing(ProgramMissing):
    """The package that speaks to MLflow is not installed. Names the extra that brings it."""


class DamagedRun(InvalidFile):
    """The run folder of a tracker is none, or cannot be read."""
