"""The demo: the main job on two real datasets, as the commands that two people would type.

Aiko gathers and registers; Ken, in a clone of his own and with a key of his own, proves that he can carry
the data on, and asks what the models were made of.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from datakeep.core.errors import AlreadyExists
from datakeep.samples import SAMPLES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

KEEP = "my-keep"
_TRAIN = "python train.py --data {data} --out {out}"


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody who types commands in the demo."""

    handle: str
    name: str
    folder: Path

    def variables(self, host: Mapping[str, str]) -> dict[str, str]:
        """The environment of their commands: the host's, with an identity and a key folder of their own."""
        email = f"{self.handle}@corp.example"
        config = self.folder.parent / f".{self.handle}-config"
        return {
            **{name: value for name, value in host.items() if not name.startswith("GIT_")},
            "GIT_AUTHOR_NAME": self.name,
            "GIT_AUTHOR_EMAIL": email,
            "GIT_COMMITTER_NAME": self.name,
            "GIT_COMMITTER_EMAIL": email,
            "XDG_CONFIG_HOME": str(config),
        }


@dataclass(frozen=True, slots=True)
class Step:
    """One command, who types it, where, and why."""

    actor: Actor
    argv: tuple[str, ...]
    cwd: Path
    why: str


def prepare(folder: Path) -> tuple[Step, ...]:
    """Write the samples' files below ``folder``, and hand out the commands of the demo in their order.

    Raises:
        AlreadyExists: The folder is not empty.
    """
    if folder.exists() and any(folder.iterdir()):
        raise AlreadyExists(
            f"{folder} is not empty", next_step="name a new folder, or none for a temporary one"
        )
    aiko = Actor("aiko", "Aiko Tanaka", folder / "aiko")
    ken = Actor("ken", "Ken Sato", folder / "ken")
    for actor in (aiko, ken):
        actor.folder.mkdir(parents=True)
    for name, sample in SAMPLES.items():
        sample.write_data(aiko.folder / name)
        sample.write_reference(aiko.folder / f"{name}-training")
        (aiko.folder / f"{name}.yaml").write_bytes(sample.manifest.read_bytes())
    return (*_author(aiko), *_receiver(ken, folder / f"{KEEP}.vault"))


def _author(aiko: Actor) -> list[Step]:
    keep = os.path.join("..", KEEP)  # noqa: PTH118  (shown as it is typed)
    steps = [
        Step(aiko, ("datakeep", "init", keep), aiko.folder, "a keep, with a plain folder as its vault"),
        Step(aiko, ("datakeep", "-C", keep, "key", "create"), aiko.folder, "a key that signs proofs"),
    ]
    for name in SAMPLES:
        register = ("datakeep", "-C", keep, "register", name, name, "--manifest", f"{name}.yaml")
        reference = (
            *("datakeep", "-C", keep, "reference", name, "--code", f"{name}-training", "--command", _TRAIN),
            *("--model-file", "model.joblib", "--measure", "2", "--accept"),
        )
        steps += [
            Step(aiko, register, aiko.folder, f"register {name}: bytes, source, owner, rules, caveats"),
            Step(
                aiko, reference, aiko.folder, "state the training that proves it usable, and what it scores"
            ),
        ]
    return steps


def _receiver(ken: Actor, vault: Path) -> list[Step]:
    published = os.path.relpath(vault / "git" / "keeps" / f"{KEEP}.git", ken.folder)
    keep = ken.folder / KEEP
    steps = [
        Step(
            ken, ("git", "clone", "--quiet", published), ken.folder, "someone else, with a clone of his own"
        ),
        Step(ken, ("datakeep", "key", "create"), keep, "and a key of his own"),
    ]
    for name in SAMPLES:
        out = f"../{name}-run"
        steps += [
            Step(ken, ("datakeep", "verify", name, "--out", out), keep, f"can he carry {name} on?"),
            Step(ken, ("datakeep", "audit", f"{out}/model.joblib"), keep, "what is this model file made of?"),
        ]
    return [*steps, Step(ken, ("datakeep", "list"), keep, "the register")]
