"""The stages of a verification, who must act when one fails, and the verdict: values, not exceptions."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal


class Layer(StrEnum):
    """The layers of a handover, in the order in which they are tried."""

    ACCESS = "access"
    BYTES = "bytes"
    MANIFEST = "manifest"
    ENVIRONMENT = "environment"
    TRAINING = "training"
    METRIC = "metric"


class Actor(StrEnum):
    """Who can mend a fault; the administrator is the vault's."""

    GIVER = "giver"
    RECEIVER = "receiver"
    ADMINISTRATOR = "administrator"


class Result(StrEnum):
    """How a stage, or the whole, ended."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_RUN = "not run"


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a stage failed: one sentence, the evidence, who must act and what to type."""

    what: str
    acts: Actor
    next_step: str
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage as it went: ``summary`` is its positive verdict, ``fault`` why there is none."""

    layer: Layer
    result: Result
    summary: str = ""
    started: datetime | None = None
    duration_s: Decimal | None = None
    fault: Fault | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """All stages of one verification. Law: it passed if, and only if, every layer passed."""

    stages: tuple[Stage, ...] = field(default=())

    @property
    def passed(self) -> bool:
        """Whether every layer was run and passed."""
        return [stage.layer for stage in self.stages if stage.result is Result.PASSED] == list(Layer)

    @property
    def fault(self) -> Stage | None:
        """The stage at fault: the first that failed."""
        return next((stage for stage in self.stages if stage.result is Result.FAILED), None)
