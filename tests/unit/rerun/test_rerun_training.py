"""A training ends well with exact numbers, or its problem is named: above all, its hidden inputs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import time
from decimal import Decimal

import pytest

from datakeep.core.errors import AlreadyExists
from datakeep.rerun import artifacts, diagnosis, metrics, process, training
from datakeep.rerun.interface import Finished

GOOD = """
import json, os, sys
data, out = sys.argv[1:3]
assert os.environ["DATAKEEP_DATA_PUMP_BEARINGS"] == data
open(f"{data}/a.csv").read()
open(f"{out}/metrics.json", "w").write('{"accuracy": 0.90, "rows": 12345678901234567890}')
open(f"{out}/model.bin", "wb").write(b"model")
"""


def test_a_good_training(case, any_sandbox):
    report = case.run(GOOD, box=any_sandbox, model={"file": "model.bin"})
    assert report.problem is None
    assert {name: str(value) for name, value in report.metrics.items()} == {
        "accuracy": "0.90",
        "rows": "12345678901234567890",
    }
    assert report.model.sha256 == "9372c470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4"
    assert [artifact.path for artifact in report.artifacts] == ["metrics.json", "model.bin"]
    assert report.files_read == ("a.csv",)
    assert report.not_traced is None
    assert report.connections == report.files_outside == ()


def test_of_a_trace_that_is_too_long_no_list_of_files_is_made(case, bare, monkeypatch):
    monkeypatch.setattr("datakeep.rerun.strace.LIMIT_BYTES", 200)
    report = case.run(GOOD, box=bare)
    assert report.problem is None
    assert (report.files_read, report.opened_s) == (None, {})
    assert report.not_traced == "not all that strace saw could be written down and read again"


def test_a_folder_that_is_opened_as_a_file_is_none_that_was_read(case, any_sandbox):
    report = case.run(GOOD + "print([*os.fwalk(data)])\n", box=any_sandbox)
    assert report.files_read == ("a.csv",)


def test_what_lies_too_deep_to_be_looked_at_is_told(tmp_path):
    with contextlib.chdir(tmp_path):
        (tmp_path / "model.bin").write_text("x")
        for _ in range(1100):
            os.mkdir("d")  # noqa: PTH102
            os.chdir("d")
    found, passed_over = artifacts.collect(tmp_path)
    subprocess.run(["rm", "-r", tmp_path / "d"], check=True)  # Python, and so pytest, cannot
    assert [one.path for one in found] == ["model.bin"]
    assert passed_over == ["./: folders in folders, too many of them"]


def test_a_file_that_is_written_while_it_is_read_has_no_digest(tmp_path, monkeypatch):
    digest = hashlib.file_digest

    def slow(source, name):
        found = digest(source, name)
        (tmp_path / "model.bin").write_text("more than before")
        return found

    (tmp_path / "model.bin").write_text("before")
    monkeypatch.setattr(hashlib, "file_digest", slow)
    assert artifacts.collect(tmp_path) == ([], ["model.bin: it was still being written"])


def test_only_the_exact_tokens_are_replaced_and_no_shell_is_used(case, any_sandbox):
    script = (
        "import json, sys; json.dump({'n': 1}, open(sys.argv[1] + '/metrics.json', 'w')); print(sys.argv[2:])"
    )
    command = ["python", "train.py", "{out}", "{data}/x", "{pump-bearings}", "{other}", "{{data}}", "$HOME;*"]
    report = case.run(script, box=any_sandbox, command=command)
    data = "/datakeep/data" if any_sandbox.kind == "bubblewrap" else str(case.folder / "data")
    expected = [f"{data}/x", data, "{other}", "{" + data + "}", "$HOME;*"]
    assert report.finished.output_tail == f"{expected}\n"


def test_data_and_code_cannot_be_written(case, bubblewrap):
    script = "import sys; open(sys.argv[1] + '/a.csv', 'w')"
    problem = case.run(script, box=bubblewrap).problem
    assert problem.kind == "crashed"
    assert "/datakeep/data/a.csv, and only {out} can be written" in problem.what
    assert (case.folder / "data" / "a.csv").read_text() == "x\n1\n"


def test_a_file_of_the_authors_home_is_named(case, bubblewrap):
    hidden = case.folder / "features 日本.csv"
    hidden.write_text("x")
    problem = case.run(f"open({str(hidden)!r})", box=bubblewrap).problem
    assert problem.kind == "hidden-file"
    assert f"it tried to read {hidden}, which is not part of the dataset or its code" in problem.what
    assert "datakeep update pump-bearings" in problem.next_step
    assert problem.acts == "giver"


def test_a_hidden_file_is_named_even_if_the_training_does_not_say_so(case, bubblewrap):
    script = (
        "import os\ntry: open(os.path.expanduser('~/features.csv'))\n"
        "except OSError: raise SystemExit('no features')"
    )
    problem = case.run(script, box=bubblewrap).problem
    assert problem.kind == "hidden-file"
    assert "/home/datakeep/features.csv" in problem.what
    assert "no features" in problem.evidence


def test_without_a_sandbox_a_read_outside_is_reported(case, bare):
    hidden = case.folder / "features.csv"
    hidden.write_text("x")
    report = case.run(GOOD + f"\nopen({str(hidden)!r})", box=bare)
    assert report.problem is None
    assert report.files_outside == (str(hidden),)


@pytest.mark.parametrize("host", [{"WAREHOUSE": "swordfish"}, {}])
def test_a_variable_of_the_host_is_named_without_its_value(case, any_sandbox, host, monkeypatch):
    monkeypatch.setenv("WAREHOUSE", "swordfish")
    problem = case.run("import os; os.environ['WAREHOUSE']", box=any_sandbox, host=host).problem
    assert problem.kind == "hidden-variable"
    assert "environment variable WAREHOUSE" in problem.what
    assert ("set on this machine" in problem.what) == bool(host)
    assert "swordfish" not in str(problem)


def test_a_variable_that_is_asked_for_gently_is_named(case, bubblewrap):
    script = "import os; os.getenv('WAREHOUSE').split()"
    assert case.run(script, box=bubblewrap, host={"WAREHOUSE": "x"}).problem.kind == "hidden-variable"


def test_a_key_that_a_dictionary_lacks_is_no_variable(case, bubblewrap):
    assert case.run("{}['WAREHOUSE']", box=bubblewrap, host={"WAREHOUSE": "x"}).problem.kind == "crashed"


def test_the_network_is_named_with_the_host(case, bubblewrap):
    script = "import urllib.request; urllib.request.urlopen('http://data.invalid/x.csv')"
    report = case.run(script, box=bubblewrap)
    assert report.problem.kind == "hidden-network"
    assert "data.invalid" in report.problem.what
    assert "the address of data.invalid" in report.connections


def test_an_address_is_named(case, bubblewrap):
    script = "import socket; socket.create_connection(('192.0.2.7', 443))"
    problem = case.run(script, box=bubblewrap).problem
    assert problem.kind == "hidden-network"
    assert "192.0.2.7:443" in problem.what


@pytest.fixture
def limited(monkeypatch):
    """The time of a training is over as soon as it has printed a word, however long that takes."""

    def limit(word):
        real, over = process._pump, []

        def pump(pipe, watch, output, until):
            while not over and word not in b"".join(output.tail):
                if real(pipe, watch, output, time.monotonic() + 0.1):
                    return True
            if over:
                return real(pipe, watch, output, until)
            over.append(1)
            return False

        monkeypatch.setattr(process, "_pump", pump)

    return limit


def test_waiting_for_the_network_until_the_limit_is_the_networks_fault(
    case, bubblewrap, limited, monkeypatch
):
    monkeypatch.setattr("datakeep.rerun.trace.available", lambda *_: None)  # it is tried with a program, too
    limited(b"tried")
    script = (
        "import socket, time\nwhile 1:\n"
        " try: socket.create_connection(('192.0.2.7', 443))\n except OSError: print('tried'); time.sleep(0.1)"
    )
    report = case.run(script, box=bubblewrap, timeout_s=300)
    assert report.finished.timed_out
    assert report.problem.kind == "hidden-network"


def test_a_training_that_hangs(case, any_sandbox, limited, monkeypatch):
    monkeypatch.setattr("datakeep.rerun.trace.available", lambda *_: None)
    limited(b"epoch 1")
    report = case.run("print('epoch 1'); import time; time.sleep(600)", box=any_sandbox, timeout_s=300)
    assert report.problem.kind == "timed-out"
    assert "after 300 s" in report.problem.what
    assert report.problem.evidence == ("epoch 1",)


def test_a_training_that_crashes(case, any_sandbox):
    problem = case.run("raise ValueError('loss is inf')", box=any_sandbox).problem
    assert problem.kind == "crashed"
    assert problem.what == "the training stopped with exit code 1: ValueError: loss is inf"


def test_a_training_that_a_signal_ends(case, any_sandbox):
    problem = case.run("import os; os.kill(os.getpid(), 11)", box=any_sandbox).problem
    assert problem.kind == "crashed"
    assert "SIGSEGV" in problem.what


def test_a_training_that_is_killed_is_the_receivers_to_repeat(case, any_sandbox):
    problem = case.run("import os; os.kill(os.getpid(), 9)", box=any_sandbox).problem
    assert (problem.kind, problem.acts) == ("crashed", "receiver")
    assert problem.what.startswith("the training was ended by SIGKILL; its largest process held ")
    assert "more memory" not in problem.next_step  # it held some MB


@pytest.mark.parametrize(
    ("peak_rss_bytes", "kernel_lacked_memory", "words"),
    [
        (7_600_000_000, False, "held 7.6 GB of the 8.0 GB here, and memory probably ran out"),
        (
            2_000_000_000,
            True,
            "held 2.0 GB of the 8.0 GB here, and the kernel ended processes for lack of memory",
        ),
        (2_000_000_000, False, "held 2.0 GB of the 8.0 GB here"),
        (0, False, "ended by SIGKILL"),
    ],
)
def test_memory_is_the_reason_only_where_the_numbers_say_so(
    case, bare, monkeypatch, peak_rss_bytes, kernel_lacked_memory, words
):
    monkeypatch.setattr("datakeep.rerun.memory.limit_bytes", lambda: 8_000_000_000)
    finished = Finished(
        137, 9, False, 1.0, 1.0, peak_rss_bytes, "", kernel_lacked_memory=kernel_lacked_memory
    )
    monkeypatch.setattr(type(bare), "run", lambda self, job: finished)
    monkeypatch.setattr("datakeep.rerun.trace.available", lambda *_: "not here")
    problem = case.run("", box=bare).problem
    assert problem.what.endswith(words)
    assert ("more memory" in problem.next_step) == ("memory" in words)


def test_a_process_in_the_background_does_not_hold_the_training_up(case, any_sandbox):
    left = "\nimport subprocess; subprocess.Popen(['sleep', '4717'], start_new_session=True); print('done')"
    report = case.run(GOOD + left, box=any_sandbox, timeout_s=300)
    assert report.not_traced is None
    assert report.problem is None
    assert report.finished.left_running == 1
    assert report.finished.output_tail == "done\n"
    assert report.files_read == ("a.csv",)


def test_a_long_line_is_cut_and_says_so(case, any_sandbox):
    problem = case.run("print('first'); raise SystemExit('x' * 5000)", box=any_sandbox).problem
    assert problem.evidence == ("first", "x" * 300 + " … and 4,700 more characters")
    assert len(problem.what) < 400


def test_of_an_endless_line_the_end_is_shown(case, bare):
    problem = case.run("print('x' * 1_000_000, end='the end'); raise SystemExit(3)", box=bare).problem
    assert problem.evidence == ("… after 999,707 more bytes: " + "x" * 293 + "the end",)


# By the square of the length it would take hours.
@pytest.mark.parametrize("text", ["/", "=/", "a", "http://"])
def test_no_output_holds_the_verdict_up(tmp_path, text):
    scene = diagnosis.Scene("orders", tmp_path, "/code", (), (), {}, {}, sandboxed=False)
    finished = Finished(3, None, False, 1.0, 1.0, 0, text * (500_000 // len(text)))
    assert diagnosis.diagnose(finished, None, 600, scene).kind == "crashed"


def test_what_a_terminal_would_obey_is_shown_as_it_would_look(case, bare):
    script = (
        "print('\\x1b[31mred\\x1b[0m \\x1b]0;title\\x07bell \\x07'); print('10%\\r50%\\r100%\\r'); "
        "print('postgresql://aiko:\\x1b[1mhunter2@dwh/x'); raise SystemExit('end')"
    )
    problem = case.run(script, box=bare).problem
    assert problem.evidence == ("red bell \\x07", "100%", "postgresql://aiko@dwh/x", "end")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("postgresql://aiko:hunter2@dwh/x", "aiko@dwh"),
        ("connect: host=dwh password=hunter2 dbname=x", "host=dwh password=(withheld) dbname=x"),
        ("PGPASSWORD=hunter2 psql", "PGPASSWORD=(withheld) psql"),
        ('{"api_key": "hunter2", "rows": 7}', '"rows": 7'),
    ],
)
def test_a_password_in_its_output_is_not_repeated(case, any_sandbox, said, shown):
    problem = case.run(f"raise ValueError({said!r})", box=any_sandbox).problem
    assert "hunter2" not in str(problem)
    assert shown in problem.what


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("pyhton train.py", "is not in its environment or code"),
        ("./train.py", "is not executable"),
        ("./absent.sh", "is not in its environment or code"),
        ("/root/venv/bin/python train.py", "is not in its environment or code"),
        ("/home/aiko/venv/bin/python train.py", "is not in its environment or code"),
    ],
)
def test_a_command_that_is_not_there(case, bubblewrap, command, why):
    report = case.run(GOOD, box=bubblewrap, command=command)
    assert report.problem.kind == "command-not-found"
    assert why in report.problem.what
    assert report.finished is None


@pytest.mark.parametrize(
    ("left", "kind", "why"),
    [
        (None, "no-metrics", "left no metrics file metrics.json"),
        ('{"accuracy": NaN}', "bad-metrics", "'accuracy', which is NaN"),
        ('{"a": 1, "loss": -Infinity}', "bad-metrics", "'loss', which is -Infinity"),
        ('{"accuracy": "0.9"}', "bad-metrics", "'accuracy', which is not a number"),
        ('{"accuracy": true}', "bad-metrics", "'accuracy', which is not a number"),
        ('{"a": {"b": 1}}', "bad-metrics", "'a', which is not a number"),
        ("[0.9]", "bad-metrics", "is not a JSON object"),
        ("{}", "bad-metrics", "is not a JSON object"),
        ("accuracy=0.9", "bad-metrics", "is not JSON"),
    ],
)
def test_metrics_that_are_none(case, bare, left, kind, why):
    script = f"import sys\nif {left!r}: open(sys.argv[2] + '/metrics.json', 'w').write({left!r})"
    problem = case.run(script, box=bare).problem
    assert problem.kind == kind
    assert why in problem.what


def test_a_missing_model_is_named_with_what_is_there(case, bare):
    report = case.run(GOOD, box=bare, model={"file": "model.joblib"})
    assert report.problem.kind == "no-model"
    assert "left model.bin" in report.problem.evidence
    assert report.metrics["accuracy"] == Decimal("0.90")


@pytest.mark.parametrize("number", ["1e401", "-1e-401", "1e999999999", "1e99999999999999999999", "0e-999999"])
def test_numbers_that_are_no_measurement_are_refused(number):
    with pytest.raises(metrics.NotMetrics, match="too large or too small"):
        metrics.parse(f'{{"a": {number}}}'.encode())


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xfe{",
        b"[" * 200_000,
        b" " * (2**20 + 1),
        json.dumps({str(number): 1 for number in range(10_001)}).encode(),
    ],
    ids=["not UTF-8", "deep", "large", "many"],
)
def test_hostile_metrics_are_refused(data):
    with pytest.raises(metrics.NotMetrics):
        metrics.parse(data)


def test_links_and_pipes_that_a_training_leaves_are_not_followed(case, bubblewrap, tmp_path):
    secret = tmp_path / "secret.json"
    secret.write_text('{"accuracy": 1.0}')
    script = (
        "import os, sys\nout = sys.argv[2]\n"
        f"os.symlink({str(secret)!r}, out + '/metrics.json')\nos.symlink({str(tmp_path)!r}, out + '/sub')\n"
        "os.mkfifo(out + '/model.bin')\nopen(os.fsencode(out) + b'/\\xff', 'w')\n"
    )
    report = case.run(script, box=bubblewrap, model={"file": "model.bin"})
    assert report.problem.kind == "no-metrics"
    assert report.metrics == {}
    assert report.model is None
    assert report.artifacts == ()
    assert len(report.passed_over) == 4


def test_a_link_on_the_way_to_the_metrics_is_not_followed(case, bubblewrap, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "metrics.json").write_text('{"accuracy": 1.0}')
    script = f"import os, sys; os.symlink({str(tmp_path / 'real')!r}, sys.argv[2] + '/sub')"
    assert case.run(script, box=bubblewrap, metrics="sub/metrics.json").problem.kind == "no-metrics"


def test_an_old_result_is_not_taken_for_a_new_one(case, bare):
    (case.folder / "out").mkdir()
    (case.folder / "out" / "metrics.json").write_text(json.dumps({"accuracy": 1}))
    with pytest.raises(AlreadyExists):
        case.run("pass", box=bare)


def test_without_strace_it_runs_and_says_that_it_was_not_observed(case, bubblewrap, monkeypatch):
    monkeypatch.setattr(training.trace, "available", lambda *_: "strace is not installed")
    report = case.run(GOOD, box=bubblewrap)
    assert report.problem is None
    assert report.files_read is None
    assert report.not_traced == "strace is not installed"
