"""``datakeep verify``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datakeep.cli.boundary import EXIT_NO
from datakeep.cli.clean_room import clean_room_options, settings_of
from datakeep.cli.session import Answer, Session, command
from datakeep.cli.signing import key_option, load_signer

if TYPE_CHECKING:
    from datakeep.core.verdict import Fault, Stage
    from datakeep.workflows.verify import Verified

_ACTORS = {"giver": "the giver", "receiver": "the receiver", "administrator": "the vault's administrator"}
_SHOWN = 10


@command(name="verify")
@click.argument("name", metavar="NAME[@V]")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Keep what the training wrote in this new folder."
)
@key_option
@clean_room_options
def call(session: Session, name: str, out: Path | None, key_path: Path | None, **options: Any) -> Answer:
    r"""Prove, in a clean room, that someone else can carry a dataset on.

    A fresh clone with your own rights and nothing else of this machine, every byte re-hashed, the environment
    rebuilt, the reference training re-run without network, the metric compared. Passed or failed, a signed
    proof goes into the keep. Exit code 0: passed; 3: failed, and the verdict says who must act.

    \b
    Example:
      datakeep verify orders
      datakeep verify orders@v3 --out /tmp/orders-run
    """
    from datakeep.repository.identity import identity
    from datakeep.workflows.verify import follow, verifier_of, verify

    keep = session.keep()
    follow(keep)
    verifier = verifier_of(keep, identity(keep.root), load_signer(session, key_path))
    label = str(keep.resolve(name))
    session.progress.note(f"verifying {label} in a clean room")
    done = verify(
        keep,
        label,
        verifier=verifier,
        settings=settings_of(keep, options),
        out=out,
        watch=lambda stage: _watch(session, stage),
    )
    return Answer(_data(done), _lines(done, out), 0 if done.verdict.passed else EXIT_NO)


def _watch(session: Session, stage: Stage) -> None:
    session.close()  # its live line goes before its result comes, and is not drawn again below it
    took = f"{stage.duration_s:.1f} s" if stage.duration_s is not None else ""
    said = stage.fault.what if stage.fault else stage.summary
    session.progress.note(f"  {stage.layer.value:<12} {stage.result.value:<8} {took:>7}  {said}".rstrip())
    for warning in stage.warnings:
        session.progress.warn(warning)


def _lines(done: Verified, out: Path | None) -> list[str]:
    label = f"{done.entry.dataset}@{done.entry.version}"
    own = " (a self-check: you own or registered it, so this is no handover)" if done.self_check else ""
    fault = done.verdict.fault
    if fault is None or fault.fault is None:
        lines = [click.style(f"PASSED {label}", fg="green", bold=True) + own]
    else:
        cause = fault.fault
        lines = [
            click.style(f"FAILED {label}", fg="red", bold=True) + f" at {fault.layer.value}{own}",
            f"  {cause.what}",
            *(f"  - {line}" for line in cause.evidence[:_SHOWN] if line != cause.what),
            *(
                [f"  … and {len(cause.evidence) - _SHOWN} more, in the proof"]
                if len(cause.evidence) > _SHOWN
                else []
            ),
            f"  who must act: {_actor(done, cause)}",
            f"  next: {done.next_step}",
        ]
    lines.append(
        f"proof: {done.proof}" + ("" if done.handed_in else f" (not in the keep: {done.not_pushed})")
    )
    if not done.handed_in:
        them = "it"
        if done.record_file:
            lines.append(f"model record: {done.record_file} (not in the keep either)")
            them = "both files"
        lines.append(
            f"next: hand {them} in, or send {them} to someone who may push: datakeep proof add {done.proof}"
        )
    if done.model is not None:
        said = "recorded" if done.model_is_new else "the very model that is recorded already"
        lines.append(
            f"model: {done.model.model}@{done.model.version} ({said}), {done.model.artifacts[0].path}"
        )
        kept = (
            f"{out}/{done.model.artifacts[0].path}"
            if out
            else f"model:{done.model.model}@{done.model.version}"
        )
        lines.append(f"next: datakeep audit {kept}")
    return lines


def _actor(done: Verified, cause: Fault) -> str:
    return "you" if done.self_check and cause.acts.value == "giver" else _ACTORS[cause.acts.value]


def _data(done: Verified) -> dict[str, Any]:
    fault = done.verdict.fault
    return {
        "dataset": done.entry.dataset,
        "version": done.entry.version,
        "result": "passed" if done.verdict.passed else "failed",
        "at_fault": fault.layer.value if fault else None,
        "who_must_act": fault.fault.acts.value if fault and fault.fault else None,
        "next": done.next_step,
        "self_check": done.self_check,
        "stages": [_stage(stage) for stage in done.verdict.stages],
        "proof": done.proof,
        "handed_in": done.handed_in,
        "not_pushed": done.not_pushed or None,
        "model": f"{done.model.model}@{done.model.version}" if done.model else None,
        "model_record": done.record_file,
    }


def _stage(stage: Stage) -> dict[str, Any]:
    return {
        "layer": stage.layer.value,
        "result": stage.result.value,
        "seconds": None if stage.duration_s is None else str(stage.duration_s),
        "summary": stage.summary,
        "what": stage.fault.what if stage.fault else None,
        "evidence": list(stage.fault.evidence) if stage.fault else [],
        "warnings": list(stage.warnings),
    }


command = call
