"""Answers that several commands give: what a manifest states, what its proofs are worth, JSON of both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from datakeep.cli.session import table
from datakeep.core.counts import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datakeep.workflows.alike import Alike
    from datakeep.workflows.standings import Proofs
    from datakeep.workflows.stated import Stated

_SHOWN = 10
_STATE_WORDS = {
    "self-checked": "its owner has checked it; nobody else has proven that they can carry it on",
    "expired": "its proof has expired",
    "failed": "the newest verification failed",
    "unproven": "nobody has proven that it can be carried on",
}


def fact_lines(facts: Sequence[Stated], *, indent: str = "  ") -> list[str]:
    """The facts as two columns; a fact of several values has a line for each. Gaps stand out."""
    rows = [
        (one.label if place == 0 else "", value if one.is_known else click.style(value, fg="yellow"))
        for one in facts
        for place, value in enumerate(one.values)
    ]
    return [indent + line for line in table(rows)] if rows else []


def proof_lines(proofs: Proofs, *, alike: Alike | None = None, indent: str = "  ") -> list[str]:
    """What the proofs are worth together, then each one; ``alike`` is a proven version of the same bytes."""
    if proofs.state == "proven":
        people = counted(len(proofs.proven_by), "person", "people")
        lines = [f"{indent}proven by: {people} other than the owner: {', '.join(proofs.proven_by)}"]
    else:
        also = f" ({alike})" if alike else ""
        lines = [f"{indent}{proofs.state}{also}: {_STATE_WORDS[proofs.state]}"]
    lines += [f"{indent}but since then {failed.reason}" for failed in proofs.failed_since]
    for proof in proofs.proofs:
        standing = proof.standing
        mark = ", self-check" if standing.self_check else ""
        until = (
            f", holds until {standing.expires:%Y-%m-%d}"
            if standing.status == "valid" and standing.expires
            else ""
        )
        lines.append(f"{indent}- {standing.status}{mark}: {standing.reason}{until} ({proof.path})")
    return lines


def proof_data(proofs: Proofs) -> dict[str, Any]:
    """The same for ``--json``."""
    return {
        "state": proofs.state,
        "proven_by_others": list(proofs.proven_by),
        "failed_since": bool(proofs.failed_since),
        "proofs": [
            {
                "path": proof.path,
                "status": proof.standing.status,
                "self_check": proof.standing.self_check,
                "by": proof.standing.by,
                "at": proof.standing.at.isoformat() if proof.standing.at else None,
                "expires": proof.standing.expires.isoformat() if proof.standing.expires else None,
                "reason": proof.standing.reason,
            }
            for proof in proofs.proofs
        ],
    }


def some(things: Sequence[str], *, mark: str, limit: int = _SHOWN) -> list[str]:
    """The first of many lines, each with ``mark`` before it, and how many more there are."""
    lines = [f"  {mark} {thing}" for thing in things[:limit]]
    if len(things) > limit:
        lines.append(f"  … and {len(things) - limit:,} more (all with --json)")
    return lines
