"""``verify`` as a whole: who proves what, what the proof holds, and how each way to fail is told apart."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import pty
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from world import Person, World

LAYERS = ["access", "bytes", "manifest", "environment", "training", "metric"]


def read(file: Path) -> Any:
    return YAML(typ="safe").load(file.read_text("utf-8"))


def predicate(envelope: Path) -> dict[str, Any]:
    return json.loads(base64.b64decode(json.loads(envelope.read_text("utf-8"))["payload"]))["predicate"]


def clone_of(world: World, person: Person) -> Path:
    """The person's own clone of the keep, as published."""
    folder = person.cwd / "keep"
    person.run("git", "clone", "-q", world.vault / "git" / "keeps" / "keep.git", folder)
    return folder


def failed(world: World, layer: str, name: str = "orders") -> dict[str, Any]:
    """What a verification says that must fail at ``layer``: that stage, after it has been checked."""
    said = world.aiko.datakeep("verify", name, "--json", cwd=world.keep, code=3).data
    assert (said["result"], said["at_fault"]) == ("failed", layer)
    at = LAYERS.index(layer)
    assert [stage["layer"] for stage in said["stages"]] == LAYERS
    results = [stage["result"] for stage in said["stages"]]
    assert results == ["passed"] * at + ["failed"] + ["not run"] * (5 - at)
    proof = predicate(world.keep / said["proof"])
    assert (proof["result"], proof["at_fault"]) == ("failed", layer)
    assert proof["stages"][at]["acts"] == said["who_must_act"]
    return {**said, **said["stages"][at]}


# ---- a handover that goes well


@pytest.fixture(scope="module")
def handover(new_world: Callable[..., World]) -> tuple[World, Path]:
    """Aiko's dataset with its reference training, and Ken's own clone of the keep, with his own key."""
    world = new_world()
    world.register("orders")
    world.reference("orders", "--model-name", "lateness")
    clone = clone_of(world, world.ken)
    world.ken.datakeep("key", "create")
    world.ken.datakeep("people", "add", cwd=clone)
    return world, clone


def test_a_receiver_proves_it_and_the_author_only_checks_herself(handover: tuple[World, Path]) -> None:
    world, clone = handover
    criteria = read(world.keep / "register" / "orders" / "v2.yaml")["commit"]
    out = world.ken.cwd / "kept"
    ran = world.ken.datakeep("verify", "orders", "--out", out, cwd=clone)
    assert "PASSED orders@v2" in ran.out
    assert "self-check" not in ran.out
    assert "accuracy 0.75 = 0.75 (±0.01, trivial 0.5) PASS" in ran.err

    (envelope,) = (clone / "proofs" / "orders" / "v2").iterdir()
    assert envelope.name.endswith("-ken.dsse.json")
    proof = predicate(envelope)
    assert (proof["result"], proof["at_fault"], proof["self_check"]) == ("passed", None, False)
    assert proof["person"] == {
        "handle": "ken",
        "name": "Ken Sato",
        "email": "ken@corp.example",
        "is_owner": False,
    }
    assert [(stage["name"], stage["result"]) for stage in proof["stages"]] == [
        (name, "passed") for name in LAYERS
    ]
    assert proof["criteria"] == {
        "commit": criteria,
        "expect": {"accuracy": {"value": "0.75", "tolerance": "0.01"}},
        "baseline": {"accuracy": "0.5"},
    }
    assert proof["metrics"] == {"accuracy": "0.75"}
    assert proof["fetch"]["stores"] == {"main": "4"}  # five files, two of them equal
    sizes = sum(file.stat().st_size for file in world.orders.rglob("*") if file.is_file())
    assert proof["fetch"]["size_bytes"] == str(sizes)
    assert (proof["fetch"]["missing"], proof["fetch"]["mismatched"], proof["fetch"]["stray"]) == (
        "0",
        "0",
        "0",
    )
    assert proof["network"] == {"access": True, "environment": True, "training": False}
    assert proof["sandbox"]["kind"] == "bubblewrap"
    assert proof["let_in"] == []
    assert proof["does_not_claim"]
    assert proof["entry"]["path"] == "register/orders/v2.yaml"
    shown = world.ken.run(
        "git", "show", f"{proof['entry']['keep_commit']}:register/orders/v2.yaml", cwd=clone
    )
    assert shown.out

    made = {file.name for file in out.iterdir()}
    assert made == {"model.json", "metrics.json"}
    sha256 = hashlib.sha256((out / "model.json").read_bytes()).hexdigest()
    assert proof["model"]["sha256"] == sha256
    record = read(clone / "models" / "lateness" / "v1.yaml")
    assert record["artifacts"][0]["sha256"] == sha256
    assert record["origin"] == "verification"
    (used,) = record["inputs"]
    assert (used["dataset"], used["version"], used["how"]) == ("orders", "v2", "observed")
    assert used["files_read"]["count"] == 1
    assert record["proof"] == envelope.relative_to(clone).as_posix()

    again = world.aiko.datakeep("verify", "orders", "--json", cwd=world.keep).data
    assert again["self_check"] is True
    assert predicate(world.keep / again["proof"])["self_check"] is True
    assert predicate(world.keep / again["proof"])["person"]["is_owner"] is True
    proofs = list((world.keep / "proofs" / "orders" / "v2").iterdir())
    assert len(proofs) == 2
    assert again["model"] == "lateness@v1"
    assert [file.name for file in (world.keep / "models" / "lateness").iterdir()] == ["v1.yaml"]
    for folder in (world.keep, clone):
        assert world.aiko.run("git", "status", "--porcelain", cwd=folder).out == ""


def test_out_is_never_written_over(handover: tuple[World, Path], tmp_path: Path) -> None:
    world, _ = handover
    (tmp_path / "mine").write_text("precious")
    ran = world.aiko.datakeep("verify", "orders", "--out", tmp_path, cwd=world.keep, code=None)
    assert ran.code >= 10
    assert "--out" in ran.err
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]


READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'


def test_who_may_not_push_gets_a_file_that_another_hands_in(
    handover: tuple[World, Path], tmp_path: Path
) -> None:
    world, clone = handover
    world.reference("orders", "--model-name", "readers")
    before = world.ken.run("git", "rev-parse", "HEAD", cwd=clone).out
    call = (sys.executable, "-m", "datakeep", "-C", clone, "verify", "orders", "--json")
    argv = ("unshare", "-Urm", "sh", "-c", READ_ONLY, world.vault, *call)
    said = world.ken.run(*argv, cwd=tmp_path).data
    assert (said["result"], said["handed_in"]) == ("passed", False)
    assert world.ken.run("git", "rev-parse", "HEAD", cwd=clone).out.strip() in (
        before.strip(),
        *published(world),
    )
    file = tmp_path / said["proof"]
    assert predicate(file)["person"]["handle"] == "ken"

    record = tmp_path / said["model_record"]
    assert record.name == file.name.replace(".dsse.json", ".model.yaml")

    for old, new in (("'0.75'", "'0.99'"), ("origin: verification", "origin: run"), ("orders", "others")):
        text = record.read_text("utf-8")
        (tmp_path / "other.yaml").write_text(text.replace(old, new))
        assert old in text
        add = ("proof", "add", file, "--model-record", tmp_path / "other.yaml")
        refused = world.aiko.datakeep(*add, cwd=world.keep, code=None)
        assert refused.code >= 10
        assert "not the model record of this proof" in refused.err

    done = world.aiko.datakeep("proof", "add", file, "--json", cwd=world.keep).data
    assert (done["by"], done["result"], done["model"]) == ("ken", "passed", "readers@v1")
    assert (world.keep / done["proof"]).read_bytes() == file.read_bytes()
    kept = read(world.keep / "models" / "readers" / "v1.yaml")
    assert kept == {**read(record), "proof": done["proof"]}
    assert world.aiko.run("git", "rev-parse", "HEAD", cwd=world.keep).out.strip() in published(world)

    text = json.loads(file.read_text("utf-8"))
    payload = base64.b64decode(text["payload"]).replace(b"0.75", b"0.99")
    forged = tmp_path / "forged.dsse.json"
    forged.write_text(json.dumps({**text, "payload": base64.b64encode(payload).decode()}))
    refused = world.aiko.datakeep("proof", "add", forged, cwd=world.keep, code=None)
    assert refused.code >= 10
    assert "does not count as a proof" in refused.err


def published(world: World) -> list[str]:
    """All commits of the keep that the vault has, newest first."""
    repository = world.vault / "git" / "keeps" / "keep.git"
    return world.aiko.run("git", "--git-dir", repository, "rev-list", "main").out.split()


def test_an_entry_that_was_never_pushed(handover: tuple[World, Path], tmp_path: Path) -> None:
    """The vault's keep is older than Aiko's clone, as after a restored backup: nobody else sees that version."""
    world, _ = handover
    world.register("unseen")
    newest, older = published(world)[:2]
    vault_keep = world.vault / "git" / "keeps" / "keep.git"
    world.aiko.run("git", "--git-dir", vault_keep, "update-ref", "refs/heads/main", older)
    said = world.aiko.datakeep("-C", world.keep, "verify", "unseen", "--json", cwd=tmp_path, code=3).data
    assert (said["at_fault"], said["who_must_act"]) == ("access", "giver")
    assert "never pushed" in said["stages"][0]["what"]
    assert said["next"] == "push it: git -C KEEP push origin main"  # Aiko cannot ask herself
    assert published(world)[0] == older  # the proof of that does not push it in passing
    assert said["handed_in"] is False
    proof = predicate(tmp_path / said["proof"])
    assert proof["at_fault"] == "access"
    assert "ask aiko@corp.example to push it" in proof["stages"][0]["next_step"]
    world.aiko.run("git", "push", "-q", "origin", "main", cwd=world.keep)
    assert published(world)[0] == newest


def test_a_version_that_the_vault_has_lost(handover: tuple[World, Path], tmp_path: Path) -> None:
    world, _ = handover
    world.register("untagged", "git")
    repository = world.vault / "git" / "datasets" / "untagged.git"
    world.aiko.run("git", "--git-dir", repository, "tag", "-d", "v1")
    said = failed(world, "access", "untagged")
    assert f"{repository} has lost the tag v1; untagged@v1 was pushed there" in said["what"]
    assert said["who_must_act"] == "administrator"
    assert "datakeep fsck --repair" in said["next"]
    refused = world.aiko.datakeep("checkout", "untagged", tmp_path / "copy", cwd=world.keep, code=22).err
    assert f"{repository} has lost the tag v1" in refused
    assert "datakeep fsck --repair" in refused

    shutil.rmtree(repository)
    said = failed(world, "access", "untagged")
    assert f"the repository {repository} is gone" in said["what"]
    assert (said["who_must_act"], "datakeep fsck --repair" in said["next"]) == ("administrator", True)
    refused = world.aiko.datakeep("checkout", "untagged", tmp_path / "copy", cwd=world.keep, code=17).err
    assert "datakeep fsck --repair" in refused
    world.aiko.datakeep("fsck", "--repair", cwd=world.keep, code=None)  # as it was said
    world.aiko.datakeep("checkout", "untagged", tmp_path / "copy", cwd=world.keep)


# ---- ways to fail, each with its own stage and words


@pytest.fixture(scope="module")
def stated(world: World) -> World:
    world.register("orders")
    return world


def test_no_reference_training(stated: World) -> None:
    stated.register("bare", "git")
    error = stated.aiko.datakeep("verify", "bare", "--json", cwd=stated.keep, code=13).data["error"]
    assert error["what"] == "bare@v1 states no reference training, so it cannot be tried"
    assert "datakeep reference bare --code DIR" in error["next"]
    stated.reference("bare")
    error = stated.aiko.datakeep("verify", "bare@v1", "--json", cwd=stated.keep, code=13).data["error"]
    assert error["what"].endswith("; v2 does")
    assert error["next"] == "datakeep verify bare"
    assert not (stated.keep / "proofs" / "bare").exists()


def test_what_this_machine_lacks_is_no_verdict(handover: tuple[World, Path]) -> None:
    """Neither a package index that cannot be reached, nor a full disk, nor a missing Python leaves a proof."""
    world, _ = handover
    world.register("here", "git")
    world.reference("here")
    world.aiko.datakeep("verify", "here", cwd=world.keep)
    proofs = sorted((world.keep / "proofs" / "here").rglob("*.json"))
    world.reference("here", "--python", "3.99")
    error = world.aiko.datakeep("verify", "here", "--json", cwd=world.keep, code=27).data["error"]
    assert error["id"] == "interpreter-missing"
    assert error["what"].startswith("this machine could not try here@v3, so there is no proof")
    full = "raise OSError(28, 'No space left on device')"
    world.reference("here", "--python", f"3.{sys.version_info.minor}", command=script(full))
    error = world.aiko.datakeep("verify", "here", "--json", cwd=world.keep, code=30).data["error"]
    assert (error["id"], "space" in error["next"]) == ("training-stopped", True)
    assert sorted((world.keep / "proofs" / "here").rglob("*.json")) == proofs


def test_without_the_package_index_a_proven_version_stays_proven(
    handover: tuple[World, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The receiver's laptop has no network: the version is what it was."""
    world, clone = handover
    training = world.training
    (training / "wanted.txt").write_text("six==1.17.0\n")
    locked = world.aiko.run("uv", "pip", "compile", "-q", "--generate-hashes", "wanted.txt", cwd=training).out
    (training / "requirements.txt").write_text(locked)
    world.register("packed", "git")
    world.reference("packed", "--requirements", "requirements.txt")
    world.ken.datakeep("verify", "packed", cwd=clone)
    for name in ("UV_INDEX_URL", "UV_DEFAULT_INDEX"):
        monkeypatch.setitem(world.ken.extra, name, "http://127.0.0.1:9/simple")
    for name in ("UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS"):
        monkeypatch.setitem(world.ken.extra, name, "")
    monkeypatch.setitem(world.ken.extra, "UV_HTTP_RETRIES", "0")
    ran = world.ken.datakeep("verify", "packed", "--fresh-packages", "--json", cwd=clone, code=27)
    assert ran.data["error"]["id"] == "network-needed"
    (listed,) = [
        one
        for one in world.ken.datakeep("list", "--json", cwd=clone).data["datasets"]
        if one["name"] == "packed"
    ]
    assert listed["proof"] == "proven"


def script(text: str) -> str:
    """A command that runs ``text``; a command is split as a shell would, but no shell sees it."""
    return f'python -c "{text}" {{out}} {{data}}'


WRITE = "import pathlib, sys; pathlib.Path(sys.argv[1], 'metrics.json').write_text('{}')"


@pytest.mark.parametrize(
    ("command", "timeout_s", "words"),
    [
        (script("while True: pass"), 1, ["still running after 1 s", "time limit"]),
        (script("raise SystemExit('no more rows')"), 60, ["exit code 1", "no more rows"]),
        (script("import os; os.abort()"), 60, ["SIGABRT"]),
        (script("print('done')"), 60, ["no metrics file metrics.json"]),
        (
            script(WRITE.format("{\\'accuracy\\': NaN}".replace("\\'", '\\"'))),
            60,
            ["metrics.json", "accuracy", "NaN"],
        ),
        ("trainer --data {data} --out {out}", 60, ["trainer", "is not in its environment or code"]),
    ],
    ids=["hangs", "exits", "crashes", "prints nothing", "NaN", "no such program"],
)
def test_a_training_that_fails(stated: World, command: str, timeout_s: int, words: list[str]) -> None:
    stated.reference("orders", "--timeout", str(timeout_s), command=command)
    said = failed(stated, "training")
    for word in words:
        assert word in said["what"]
    assert said["who_must_act"] == "giver"
    assert "datakeep reference orders" in said["next"]
    assert "the owner" not in said["next"]  # it is the owner who asks
    assert not (stated.keep / "models").exists()


def test_what_a_training_leaves_running_is_in_the_evidence(stated: World) -> None:
    command = script("import subprocess; subprocess.Popen(['sleep', '4718'])")
    stated.reference("orders", "--timeout", "300", command=command)
    said = failed(stated, "training")
    (warning,) = said["warnings"]
    assert warning == "when the training had ended, 1 process of it still ran and had to be ended"
    assert warning in predicate(stated.keep / said["proof"])["stages"][4]["evidence"]


def test_on_a_terminal_the_live_line_of_a_stage_goes_with_it(stated: World) -> None:
    stated.register("lines")
    shown = on_terminal(stated.aiko, "-C", stated.keep, "verify", "lines")
    before, _, after = shown.partition("  bytes ")
    assert "fetching" in before
    assert after
    assert "fetching" not in after
    assert "lines@v1 states no reference training" in after


def on_terminal(person: Person, *args: str | Path) -> str:
    """All that ``datakeep ARGS`` writes to a terminal."""
    terminal, its_end = pty.openpty()
    argv = [sys.executable, "-m", "datakeep", *map(str, args)]
    env = {**person.env, "TERM": "xterm"}
    process = subprocess.Popen(argv, env=env, cwd=person.cwd, stdin=its_end, stdout=its_end, stderr=its_end)
    os.close(its_end)
    written = b""
    with contextlib.suppress(OSError):  # EIO is its end
        while chunk := os.read(terminal, 65536):
            written += chunk
    os.close(terminal)
    process.wait()
    return written.decode("utf-8")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--expect", "accuracy=0.9±0.1"), ["accuracy", "0.75", "0.9", "±0.1"]),
        (("--baseline", "accuracy=0.8"), ["accuracy", "0.75", "0.8"]),
        (("--baseline", "f1=0.5", "--expect", "f1=0.6±0.1"), ["f1"]),
    ],
    ids=["outside the tolerance", "worse than the baseline", "not measured"],
)
def test_a_result_that_is_not_the_expected(stated: World, options: tuple[str, ...], words: list[str]) -> None:
    stated.reference("orders", "--timeout", "60", *options)
    said = failed(stated, "metric")
    for word in words:
        assert word in said["what"]
    assert said["who_must_act"] == "giver"
    proof = predicate(stated.keep / said["proof"])
    assert proof["metrics"] == {"accuracy": "0.75"}
    assert "datakeep reference orders --measure 3" in said["next"]
    others_read = proof["stages"][5]["next_step"]
    at_fault = (
        "mend the training" if options[-1] == "accuracy=0.8" else "with the giver's: datakeep show orders"
    )
    assert at_fault in others_read
    assert not (stated.keep / "models").exists()


def test_measuring_says_how_far_it_is(stated: World) -> None:
    command = "python train.py --data {data} --out {out}"
    measure = ("reference", "orders", "--code", stated.training, "--command", command, "--timeout", "60")
    ran = stated.aiko.datakeep(*measure, "--expect", "accuracy=0.5", "--measure", "2", cwd=stated.keep)
    assert "run 1 of 2 …\nrun 2 of 2 …\n" in ran.err
    assert "accuracy must be exactly 0.5" in ran.err
    assert "nothing was recorded" in ran.out


def test_a_wrong_expectation_can_be_taken_back(stated: World) -> None:
    stated.register("wrong", "git")
    stated.reference("wrong", "--expect", "f1=0.9±0.1")
    measure = ("reference", "wrong", "--measure", "1")
    refused = stated.aiko.datakeep(
        *measure, "--accept", "--expect", "f1=0.9±0.1", cwd=stated.keep, code=2
    ).err
    assert "--expect names f1, which the training does not report; it reports accuracy" in refused
    stated.aiko.datakeep(*measure, "--accept", cwd=stated.keep)
    manifest = read(stated.keep / "register" / "wrong" / "v3.yaml")["manifest"]
    assert list(manifest["reference"]["expect"]) == ["accuracy"]


def test_the_owner_is_told_the_option_to_correct_and_the_code_of_the_cause(stated: World) -> None:
    stated.register("mine", "git")
    code = (
        "reference",
        "mine",
        "--code",
        stated.training,
        "--command",
        "python train.py --data {data} --out {out}",
    )

    def error(exit_code: int, *options: str) -> dict[str, Any]:
        ran = stated.aiko.datakeep(
            *code, *options, "--measure", "1", "--json", cwd=stated.keep, code=exit_code
        )
        return ran.data["error"]

    missing = error(27, "--lock", "other/uv.lock")
    assert missing["id"] == "lock-invalid"
    assert missing["next"] == "name the right one: datakeep reference mine --lock FILE"
    assert "--metrics FILE" in error(30, "--metrics", "scores.json")["next"]
    branch = stated.aiko.datakeep(
        "reference", "mine", "--code", "https://example.invalid/x@main", cwd=stated.keep, code=2
    ).err
    assert "names no commit" in branch
    assert "--code https://example.invalid/x@COMMIT" in branch


def test_links_that_a_training_leaves_are_not_handed_over(stated: World, tmp_path: Path) -> None:
    stated.register("linked", "git")
    write = "import os, sys; open(sys.argv[1] + '/metrics.json', 'w').write('[1]'); "
    stated.reference(
        "linked", command=script(write + "os.symlink('/etc/hostname', sys.argv[1] + '/model.json')")
    )
    out = tmp_path / "run"
    ran = stated.aiko.datakeep("verify", "linked", "--out", out, cwd=stated.keep, code=3)
    assert "model.json: a symbolic link to /etc/hostname" in ran.err
    assert [path.name for path in out.iterdir()] == ["metrics.json"]


# ---- where code and environment come from


@pytest.fixture(scope="module")
def coded(new_world: Callable[..., World]) -> World:
    world = new_world()
    world.register("orders", "git")
    return world


def commit_all(person: Person, folder: Path) -> str:
    person.run("git", "init", "-q", cwd=folder)
    person.run("git", "add", "-A", cwd=folder)
    person.run("git", "commit", "-qm", "training", cwd=folder)
    return person.run("git", "rev-parse", "HEAD", cwd=folder).out.strip()


def test_code_in_a_repository_of_its_own_and_requirements_with_hashes(coded: World, tmp_path: Path) -> None:
    """The code's repository lies in the vault's git base; its package is installed by its hash alone."""
    aiko = coded.aiko
    work = tmp_path / "code"
    (work / "late").mkdir(parents=True)
    text = (coded.training / "train.py").read_text()
    (work / "late" / "train.py").write_text(f"import six\nassert six.__version__ == '1.17.0'\n{text}")
    (work / "late" / "wanted.txt").write_text("six==1.17.0\n")
    locked = aiko.run("uv", "pip", "compile", "-q", "--generate-hashes", "wanted.txt", cwd=work / "late").out
    (work / "late" / "requirements.txt").write_text(locked)
    commit = commit_all(aiko, work)
    bare = coded.vault / "git" / "code" / "late.git"
    aiko.run("git", "clone", "-q", "--bare", work, bare)
    aiko.datakeep(
        "reference", "orders", "--code", f"{bare}@{commit}:late", "--requirements", "late/requirements.txt",
        "--command", "python train.py --data {data} --out {out}", "--model-file", "model.json",
        "--expect", "accuracy=0.75±0.01", cwd=coded.keep,
    )  # fmt: skip
    said = aiko.datakeep("verify", "orders", "--json", cwd=coded.keep).data
    proof = predicate(coded.keep / said["proof"])
    assert proof["environment"]["kind"] == "requirements"
    assert proof["environment"]["versions"] == {"six": "1.17.0"}
    record = read(coded.keep / "models" / "orders" / "v1.yaml")
    assert record["code"]["commit"] == commit
    assert record["code"]["url"] == str(bare)

    shutil.rmtree(bare)
    lost = failed(coded, "environment")
    assert "the training's code" in lost["what"]
    assert str(bare) in lost["what"]
    assert lost["who_must_act"] == "giver"


def test_code_in_a_folder_that_nobody_else_has_is_refused(coded: World, tmp_path: Path) -> None:
    work = tmp_path / "code"
    work.mkdir()
    for file in coded.training.iterdir():
        (work / file.name).write_bytes(file.read_bytes())
    commit = commit_all(coded.aiko, work)
    ran = coded.aiko.datakeep(
        "reference", "orders", "--code", f"{work}@{commit}", "--lock", "uv.lock",
        "--command", "python train.py --data {data} --out {out}", cwd=coded.keep, code=None,
    )  # fmt: skip
    assert ran.code >= 10
    assert f"{work} is a folder of this machine" in ran.err
    assert "push" in ran.err
