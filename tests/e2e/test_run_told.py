"""What a run's record tells is so: nothing secret, nothing lost, and "same" only of what is known of both."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from seen import Quick
from test_no_secrets import traces
from world import FACTS, Ran, World

if TYPE_CHECKING:
    from collections.abc import Callable

S = "hunt3r-2X-plant"
TOKEN = "ghp_" + "0123456789" * 4


@dataclass
class Place:
    """A keep with ``tab``, and a folder in no git work tree, in which trainings are run."""

    world: World
    calls: Quick
    folder: Path
    count: int = 0

    def run(self, model: str, *command: str | Path, code: int = 0, options: tuple[str, ...] = ()) -> Ran:
        """A training of ``tab`` that leaves its files in a new folder."""
        self.count += 1
        argv = (
            "-C",
            self.world.keep,
            "run",
            "--json",
            "--model",
            model,
            "--uses",
            "tab",
            "--out",
            f"o{self.count}",
        )
        return self.world.aiko.datakeep(*argv, *options, "--", *command, cwd=self.folder, code=code)

    def shell(self, model: str, text: str, code: int = 0) -> Ran:
        """The same, of a text for bash."""
        return self.run(model, "bash", "-c", text, code=code)

    def audit(self, *argv: str | Path, code: int = 0) -> Ran:
        """A question."""
        return self.calls.datakeep("-C", self.world.keep, "audit", *argv, cwd=self.folder, code=code)

    def versions(self, model: str) -> list[str]:
        """The recorded versions of a model."""
        return sorted(path.name for path in (self.world.keep / "models" / model).glob("*.yaml"))


@pytest.fixture(scope="module")
def place(new_world: Callable[[], World]):
    world = new_world()
    data = world.aiko.cwd / "tab"
    for name in ("a", "b"):
        (data / name).parent.mkdir(exist_ok=True)
        (data / f"{name}.csv").write_text(f"id,amount\n1,{name}\n")
    world.aiko.datakeep("register", "tab", data, "--backend", "git", *FACTS, cwd=world.keep)
    folder = world.aiko.cwd / "plain"
    folder.mkdir()
    calls = Quick(world.aiko, Ran)
    yield Place(world, calls, folder)
    calls.close()


def test_no_secret_of_a_run_reaches_the_keep(place: Place) -> None:
    (place.folder / "params.yaml").write_text(f"db: {{password: {S}, header: 'X-Api-Key: {S}'}}\nlr: 3\n")
    text = (
        f"export OPENAI_API_KEY={S}; PGPASSWORD='{S}' true --password {S}; : -H \"X-Api-Key: {S}\" {TOKEN}; "
        "cat params.yaml > /dev/null; cat $DATAKEEP_DATA_TAB/a.csv > $DATAKEEP_OUT/m"
    )
    command = (
        "bash", "-c", text, "t",
        "--header", f"Authorization: Bearer {S}", "-u", f"user:{S}", "--conn", f"H=h;Pwd={S};D=x",
        "--config", f'{{"password":"{S}","lr":3}}', "--env", f"PGPASSWORD={S}",
        "--tokenizer", "bert", "--max-tokens", "100",
    )  # fmt: skip
    ran = place.run("hush", *command)
    for said in (ran.out, ran.err, place.audit("model:hush").out):
        assert S not in said
        assert TOKEN not in said
    assert traces(place.world, S, TOKEN) == []
    record = ran.data["record"]
    assert record["parameters"]["tokenizer"] == "bert"
    assert record["parameters"]["max-tokens"] == "100"
    assert record["parameters"]["config"] == '{"password":"(withheld)","lr":3}'
    assert record["parameters"]["params.yaml"] == {
        "db": {"password": "(withheld)", "header": "X-Api-Key: (withheld)"}, "lr": 3,
    }  # fmt: skip
    (place.folder / "params.yaml").unlink()


def test_a_failure_is_told_without_its_secret(place: Place) -> None:
    code = (
        f"import datakeep\nwith datakeep.training('block', keep={str(place.world.keep)!r}, base=()) as t:\n"
        f"    raise ValueError('cannot sign in: password={S};')\n"
    )
    ran = place.world.aiko.run(sys.executable, "-c", code, cwd=place.folder, code=1)
    assert "model block@v1 failed (ValueError: cannot sign in: password=(withheld);)" in ran.err
    assert traces(place.world, S) == []


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("mv $DATAKEEP_OUT $DATAKEEP_OUT.final", "removed or renamed"),
        ("rm -rf $DATAKEEP_OUT", "removed or renamed"),
        ("rmdir $DATAKEEP_OUT; touch $DATAKEEP_OUT", "no folder now"),
        ("mv $DATAKEEP_OUT x.$$; ln -s x.$$ $DATAKEEP_OUT", "symbolic link now"),
        ("mkdir $DATAKEEP_OUT/m; chmod 000 $DATAKEEP_OUT/m", None),
    ],
)
def test_whatever_became_of_its_folder_a_training_is_recorded(
    place: Place, what: str, said: str | None
) -> None:
    ran = place.shell("moved", f"cat $DATAKEEP_DATA_TAB/a.csv; {what}; exit 7", code=7)
    record = ran.data["record"]
    assert (record["exit_code"], record["artifacts"]) == (7, [])
    told = [line for line in record["unknown"] if "that the training left" in line]
    assert said is None or any(said in line for line in told)


def test_of_a_name_whose_newest_training_failed_the_newest_model_is_told(place: Place) -> None:
    place.shell("again", "cat $DATAKEEP_DATA_TAB/a.csv > $DATAKEEP_OUT/m.bin")
    place.shell("again", "exit 3", code=3)
    asked = place.world.aiko.datakeep("audit", "again", cwd=place.world.keep)
    note = "again@v2 failed; the newest that was completed is again@v1: datakeep audit model:again@v1"
    assert note in asked.err
    assert "next: datakeep checkout" not in asked.out  # it read nothing
    named = place.world.aiko.datakeep("audit", "again@v2", cwd=place.world.keep)
    assert "newest that was completed" not in named.err
    assert (
        "next: datakeep checkout tab@v1"
        in place.world.aiko.datakeep("audit", "again@v1", cwd=place.world.keep).out
    )


def test_a_training_that_removes_its_own_folder_is_recorded(place: Place) -> None:
    gone = place.folder / "gone"
    gone.mkdir()
    argv = (
        "-C",
        place.world.keep,
        "run",
        "--model",
        "gone",
        "--uses",
        "tab",
        "--",
        "bash",
        "-c",
        'rm -r "$PWD"; exit 3',
    )
    ran = place.world.aiko.datakeep(*argv, cwd=gone, code=3)
    assert "model gone@v1 FAILED (exit code 3) is recorded" in ran.err


def test_the_block_of_python_tells_of_its_folder_too(place: Place) -> None:
    code = (
        "import datakeep, shutil\n"
        f"with datakeep.training('block2', keep={str(place.world.keep)!r}, out='b2') as t:\n"
        "    shutil.move(t.out, 'b2.final')\n"
    )
    ran = place.world.aiko.run(sys.executable, "-c", code, cwd=place.folder)
    assert "model block2@v1 is recorded" in ran.err


def piped(place: Place, model: str, data: bytes, stdin: int | None = None) -> dict[str, object]:
    argv = [
        sys.executable, "-m", "datakeep", "-C", place.world.keep, "run", "--model", model, "--uses", "tab", "--out",
        f"{model}-out", "--", "bash", "-c", "cat - > $DATAKEEP_OUT/m",
    ]  # fmt: skip
    more = {"input": data} if stdin is None else {"stdin": stdin}
    done = subprocess.run(
        argv, cwd=place.folder, env=place.world.aiko.env, capture_output=True, check=True, **more
    )
    return {
        "err": done.stderr.decode(),
        "record": place.audit(f"model:{model}", "--json").data["model"]["record"],
    }


def test_what_came_through_a_pipe_is_not_known(place: Place) -> None:
    numbers = subprocess.Popen(["seq", "1", "99"], stdout=subprocess.PIPE)
    found = piped(place, "piped", b"", numbers.stdout.fileno() if numbers.stdout else None)
    numbers.wait()
    assert "standard input was a pipe: what was read of it is not known" in str(found["err"])
    record = found["record"]
    assert isinstance(record, dict)
    assert record["observed"]["standard_input"] == "pipe"
    assert "what was read of the standard input, a pipe" in record["unknown"]
    assert "standard input was a pipe" in place.audit("model:piped").out
    piped(place, "piped-too", b"2\n3\n")
    data = place.audit("--diff", "piped", "piped-too", "--json", code=3).data
    assert any("standard input" in line for line in data["sections"]["data"]["unknown"])


def test_what_came_through_a_named_pipe_or_a_deleted_file_is_not_known(place: Place) -> None:
    pipe, gone = place.folder / "passed", place.folder / "gone"
    os.mkfifo(pipe)
    for number in "12":
        writer = subprocess.Popen(["bash", "-c", f'seq {number} 90 > "$0"', pipe])
        place.shell("by-pipe", f"cat {pipe} > /dev/null; echo m > $DATAKEEP_OUT/m")
        writer.wait()
    shown = place.audit("model:by-pipe@v1").out
    assert "named pipes were opened" in shown
    data = place.audit("--diff", "by-pipe@v1", "by-pipe@v2", "--json", code=4).data
    assert "what by-pipe@v2 read of named pipes" in data["sections"]["data"]["unknown"]
    gone.write_text("3\n4\n")
    with gone.open() as deleted:
        gone.unlink()
        record = piped(place, "deleted", b"", deleted.fileno())["record"]
    assert isinstance(record, dict)
    assert record["observed"]["standard_input"] == "deleted file"


def test_an_empty_standard_input_is_no_gap(place: Place) -> None:
    with Path(os.devnull).open() as nothing:
        record = piped(place, "unpiped", b"", nothing.fileno())["record"]
    assert isinstance(record, dict)
    assert "standard_input" not in record["observed"]


def test_what_is_withheld_of_both_is_not_the_same(place: Place) -> None:
    for rate in ("0.1", "0.9"):
        place.shell("rate", f": password={rate}; cat $DATAKEEP_DATA_TAB/a.csv > $DATAKEEP_OUT/m")
    data = place.audit("--diff", "rate@v1", "rate@v2", "--json", code=4).data
    assert (data["same"], data["known"], data["changed"]) == (False, False, [])
    shown = place.audit("--diff", "rate@v1", "rate@v2", code=4).out
    assert "withheld in the commands of both" in shown
    assert "whether they are the same is not known" in shown


TRAIN = """\
import os, pathlib, mod
pathlib.Path(os.environ["DATAKEEP_DATA_TAB"], "a.csv").read_text()
pathlib.Path(os.environ["DATAKEEP_OUT"], "m").write_text("m")
"""


def test_code_outside_git_is_compared_by_its_bytes(place: Place) -> None:
    code = place.folder / "code"
    code.mkdir()
    (code / "train.py").write_text(TRAIN)
    (code / "mod.py").write_text("X = 1\n")
    for _ in range(2):  # the second imports what the first compiled, and never opens mod.py
        place.run("loose", "python", "code/train.py")
    record = place.audit("model:loose@v2", "--json").data["model"]["record"]
    assert sorted(one["path"] for one in record["code"]["files"]) == ["mod.py", "train.py"]
    shown = place.audit("--diff", "loose@v1", "loose@v2", code=0).out
    assert "code: same (2 files, by their bytes)" in shown
    assert "files of the models: the same bytes" in shown
    (code / "mod.py").write_text("X = 2 # other\n")
    place.run("loose", "python", "code/train.py")
    data = place.audit("--diff", "loose@v2", "loose@v3", "--json", code=3).data
    assert data["sections"]["code"]["changed"] == ["files in no git work tree, changed: mod.py"]
    (code / "train.py").write_text(TRAIN.replace('"m").w', '"n").w'))
    place.run("loose", "python", "code/train.py")
    data = place.audit("--diff", "loose@v3", "loose@v4", "--json", code=3).data
    assert (data["changed"], data["files"]) == (["code"], [])  # the same bytes under another name


def test_undeclared_inputs_that_differ_are_named_and_code_is_code(place: Place) -> None:
    other = place.world.aiko.cwd / "other"
    other.mkdir()
    (other / "more.csv").write_text("1\n")
    (other / "step.sh").write_text(": one\n")
    (place.folder / "t.sh").write_text(
        f"cat $DATAKEEP_DATA_TAB/a.csv {other}/more.csv > $DATAKEEP_OUT/m\n. {other}/step.sh\n"
    )
    place.run("named", "bash", "t.sh")
    (other / "step.sh").write_text(": two\n")
    place.run("named", "bash", "t.sh")
    data = place.audit("--diff", "named@v1", "named@v2", "--json", code=3).data
    assert data["changed"] == ["code"]
    assert f"1 that only named@v2 read ({other}/step.sh)" in data["sections"]["code"]["changed"][0]
    (other / "more.csv").write_text("2\n")
    place.run("named", "bash", "t.sh")
    data = place.audit("--diff", "named@v2", "named@v3", "--json", code=3).data
    assert data["changed"] == ["data"]
    assert f"{other}/more.csv" in data["sections"]["data"]["changed"][0]
    assert data["files"] == ["m"]


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("bash", "-c", "no-such-program-at-all"), 127),
        (("bash", "-c", 'ls "$DATAKEEP_DATA_TAB"; exit 126'), 126),
        (("python", "trian.py"), 2),
        (("bash", "./not-there.sh"), 127),
    ],
)
def test_a_command_that_cannot_be_started_leaves_no_record(
    place: Place, command: tuple[str, ...], code: int
) -> None:
    ran = place.run("typo", *command, code=code)
    assert ran.data["record"] is None
    argv = ("-C", place.world.keep, "run", "--model", "typo", "--uses", "tab", "--", *command)
    said = place.world.aiko.datakeep(*argv, cwd=place.folder, code=code).err
    told = ran.data["nothing_ran"].removesuffix(", and none was left in --out")  # the second has no --out
    assert f"nothing was recorded: {told} (exit code {code})" in said
    missing = "the command could not be started, there is no file"
    ended = (
        f"the command ended with {code}; no file of data or code was seen read, and none was left in --out"
    )
    assert ran.data["nothing_ran"].startswith(ended if "-c" in command else missing)
    assert place.versions("typo") == []


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("#!/no/such/interpreter -x\n", 127, "names an interpreter that is not there: /no/such/interpreter"),
        ("#!/bin/sh\r\necho\r\n", 127, "is not there: /bin/sh: its first line ends in CR LF"),
        ("#! /tmp\n", 126, "names an interpreter that cannot be executed: /tmp"),
        ("echo hello\n", 126, "has no #! line"),
        (None, 126, "is not executable"),
    ],
)
def test_a_script_that_nothing_can_run_ends_as_in_a_shell_and_leaves_no_record(
    place: Place, text: str | None, code: int, said: str
) -> None:
    script = place.folder / "started.sh"
    script.write_text(text or "#!/bin/sh\n")
    script.chmod(0o755 if text else 0o644)
    error = place.run("unstarted", "./started.sh", code=code).data["error"]
    assert said in error["what"]
    assert (error["exit_code"], place.versions("unstarted")) == (code, [])
    assert place.world.aiko.run("sh", "-c", "./started.sh", cwd=place.folder, code=None).code in {code, 0}


def test_what_was_piped_in_may_have_been_read(place: Place) -> None:
    datakeep = [
        sys.executable,
        "-m",
        "datakeep",
        "-C",
        str(place.world.keep),
        "run",
        "--json",
        "--model",
        "piped",
    ]
    done = subprocess.run(
        [*datakeep, "--", "bash", "-c", "cat > /dev/null; exit 127"],
        input=b"1,2\n",
        env=place.world.aiko.env,
        cwd=place.folder,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 127
    assert json.loads(done.stdout)["record"]["exit_code"] == 127


@pytest.mark.parametrize("what", ["$DATAKEEP_DATA_TAB/a.csv", "more.csv", "step.sh"])
def test_a_training_that_read_something_before_it_failed_is_recorded(place: Place, what: str) -> None:
    (place.folder / "more.csv").write_text("1\n")
    (place.folder / "step.sh").write_text(":\n")
    ran = place.shell("late", f"cat {what}; no-such-program-at-all", code=127)
    assert ran.data["record"]["exit_code"] == 127


def test_where_a_shell_cannot_be_watched_its_failure_is_recorded(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hook sees only Python: that a shell read nothing is not known."""
    programs = place.world.aiko.cwd / "no-strace"
    programs.mkdir()
    (programs / "strace").write_text("#!/bin/sh\nexit 1\n")
    (programs / "strace").chmod(0o755)
    monkeypatch.setitem(place.world.aiko.extra, "PATH", f"{programs}:{place.world.aiko.env['PATH']}")
    ran = place.shell("unseen", "cat $DATAKEEP_DATA_TAB/a.csv; no-such-program-at-all", code=127)
    record = ran.data["record"]
    assert (record["exit_code"], record["observed"]["by"]) == (127, "audit-hook")


def test_a_base_model_that_only_failed_is_said_and_a_text_is_one_base(place: Place) -> None:
    place.shell("broken", "cat $DATAKEEP_DATA_TAB/a.csv; exit 2", code=2)
    error = place.run("x", "true", code=125, options=("--base", "broken")).data["error"]
    assert error["what"] == "every recorded version of the model 'broken' failed: v1"
    assert "--base broken@v1" in error["next"]
    place.shell("fine", "cat $DATAKEEP_DATA_TAB/a.csv > $DATAKEEP_OUT/m")
    keep = str(place.world.keep)
    code = f"from datakeep import training\nwith training('of-fine', keep={keep!r}, base='fine'): pass\n"
    place.world.aiko.run(sys.executable, "-c", code, cwd=place.folder)
    assert place.audit("model:of-fine", "--json").data["model"]["record"]["base_models"] == ["fine@v1"]


def test_a_day_that_has_passed_is_told_by_status_and_show(place: Place) -> None:
    data = place.world.aiko.cwd / "tab"
    argv = ("register", "old", data, "--backend", "git", *FACTS, "--retention-until")
    said = place.world.aiko.datakeep(*argv, "2020", cwd=place.world.keep, code=2).err
    assert "--retention-until '2020' is no day" in said
    place.world.aiko.datakeep(*argv, "2020-01-31", cwd=place.world.keep)
    found = place.calls.datakeep("status", "--json", cwd=place.world.keep, code=3).data["findings"]
    assert [(one["kind"], one["thing"]) for one in found if one["kind"] == "retention"] == [
        ("retention", "old@v1")
    ]
    assert (
        "kept until 2020-01-31 only, and that day has passed"
        in place.calls.datakeep("show", "old", cwd=place.world.keep).out
    )
    assert "that day has passed" not in place.calls.datakeep("show", "tab", cwd=place.world.keep).out


def test_who_hands_in_another_ones_record_is_told(place: Place) -> None:
    aiko, keep = place.world.aiko, place.world.keep
    base = place.world.vault / "git"
    base.rename(base.with_name("away"))
    try:
        ran = place.shell("handed", "cat $DATAKEEP_DATA_TAB/a.csv > $DATAKEEP_OUT/m")
    finally:
        base.with_name("away").rename(base)
    file = place.folder / str(ran.data["record_file"])
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["record.yaml"] = parts["record.yaml"].replace(
        b"recorded_by: aiko@corp.example", b"recorded_by: ken@corp.example"
    )
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    for _ in range(2):
        aiko.datakeep("record", "--hand-in", file, cwd=keep)
    said = place.world.ken.datakeep("record", "--hand-in", file, cwd=keep).out
    assert "already there: handed@v1, handed in by aiko@corp.example" in said
    assert place.versions("handed") == ["v1.yaml"]
    assert "by ken@corp.example (run), handed in by aiko@corp.example" in place.audit("model:handed").out


def test_a_models_name_leads_to_its_audit(place: Place) -> None:
    place.shell("asked", "cat $DATAKEEP_DATA_TAB/a.csv > $DATAKEEP_OUT/m")
    for argv in (("show", "asked"), ("log", "asked"), ("diff", "asked@v1", "asked@v2")):
        error = place.calls.datakeep(*argv, "--json", cwd=place.world.keep, code=11).data["error"]
        assert error["next"] == "datakeep audit model:asked"


def test_what_is_no_file_is_told_and_a_folder_is_known_by_its_files(place: Place) -> None:
    assert "nothing is named" in place.audit("", "--json", code=2).data["error"]["what"]
    os.mkfifo(place.folder / "fifo")
    for name in ("fifo", "/dev/null"):
        assert "is a pipe or a device" in place.audit(name, "--json", code=2).data["error"]["what"]
    place.shell(
        "folder",
        "cat $DATAKEEP_DATA_TAB/b.csv - > $DATAKEEP_OUT/model.bin; date +%N >> $DATAKEEP_OUT/model.bin",
    )
    data = place.audit(place.folder / f"o{place.count}", "--json").data
    assert data["model"]["record"]["model"] == "folder"
    (place.folder / "strange").mkdir()
    assert "is a folder" in place.audit("strange", "--json", code=2).data["error"]["what"]


def test_settings_alone_make_no_folder_a_models_and_foreign_files_are_named(place: Place) -> None:
    script = "head -c 100 /dev/urandom > $DATAKEEP_OUT/{0}.bin; head -c 100 /dev/urandom > $DATAKEEP_OUT/config.json"
    outs = []
    for name in ("ckpt", "other"):
        place.shell(name, script.format(name))
        outs.append(place.folder / f"o{place.count}")
    mixed = place.folder / "mixed"
    mixed.mkdir()
    shutil.copy(outs[0] / "config.json", mixed)
    (mixed / "ckpt.bin").write_bytes(b"x" * 100)
    what = place.audit(mixed, "--json", code=2).data["error"]["what"]
    assert "of ckpt@v1: config.json, which are no weights; unknown: ckpt.bin" in what
    shutil.copy(outs[1] / "other.bin", mixed)
    answer = place.audit(mixed)
    assert "by their bytes: of other@v1: other.bin; of ckpt@v1: config.json" in answer.out + answer.err
    assert "unknown: ckpt.bin" in answer.out + answer.err
    shutil.copy(outs[0] / "ckpt.bin", mixed)
    (mixed / "config.json").unlink()
    assert (
        "of ckpt@v1: ckpt.bin; of other@v1: other.bin"
        in place.audit(mixed, "--json", code=2).data["error"]["what"]
    )


def test_braces_in_out_make_no_folder_of_that_name(place: Place) -> None:
    argv = (
        "-C",
        place.world.keep,
        "run",
        "--json",
        "--model",
        "x",
        "--uses",
        "tab",
        "--out",
        "{tab}/x",
        "--",
        "true",
    )
    ran = place.world.aiko.datakeep(*argv, cwd=place.folder, code=125)
    assert "{tab} stands for data in the command alone" in ran.data["error"]["what"]
    assert not (place.folder / "{tab}").exists()


def test_an_edited_list_of_files_is_told(place: Place) -> None:
    place.shell("listed", "cat $DATAKEEP_DATA_TAB/a.csv > $DATAKEEP_OUT/m")
    kept = place.world.keep / "models/listed/v1/read/tab@v1.txt"
    before = kept.read_bytes()
    kept.write_bytes(b"b.csv\n")
    try:
        for asked in ("model:listed", "tab:a.csv", "tab"):
            ran = place.audit(asked, code=3)
            said = f"{kept.relative_to(place.world.keep)} in this folder is not what is committed"
            assert said in ran.out + ran.err, asked
    finally:
        kept.write_bytes(before)


def test_data_that_lies_among_the_systems_files_is_told(place: Place) -> None:
    file = Path(f"/run/datakeep-test-of-run-{os.getpid()}.csv")
    try:
        file.write_text("1\n")
    except OSError:  # who is not root puts nothing there
        file = Path(f"/var/tmp/datakeep-test-of-run-{os.getpid()}.csv")
        file.write_text("1\n")
    try:
        record = place.shell("system", f"cat {shlex.quote(str(file))} $DATAKEEP_DATA_TAB/a.csv").data[
            "record"
        ]
        assert [one["path"] for one in record["undeclared"]] == [str(file)]
    finally:
        file.unlink()
