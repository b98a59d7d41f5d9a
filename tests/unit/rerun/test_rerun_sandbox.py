"""Both sandboxes run a job to its end and leave nothing; bubblewrap shows nothing of the host."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from server_process import PATIENCE_S, until

from datakeep.core.errors import NoSpace, ProgramMissing
from datakeep.rerun import process as programs
from datakeep.rerun import sandbox, supervisor
from datakeep.rerun.bubblewrap import Bubblewrap
from datakeep.rerun.interface import LOG_LIMIT_BYTES, TAIL_BYTES, Job, Mount


def job(tmp_path, *argv, **options):
    options = {"timeout_s": PATIENCE_S, "environment": {"PATH": "/usr/bin:/bin"}, **options}
    return Job(argv=argv, cwd=options.pop("cwd", "/"), log=options.pop("log", tmp_path / "log"), **options)


def shell(tmp_path, script, **options):
    return job(tmp_path, "/bin/sh", "-c", script, **options)


def ours(number):
    """A number of seconds that the processes of no other test run sleep for."""
    return f"{number}{os.getpid()}"


def alive(number):
    found, word = [], ours(number)
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += [file] if word.encode() in file.read_bytes() else []
        except OSError:
            continue
    return found


def test_the_exit_code_and_the_output_are_the_programs(any_sandbox, tmp_path):
    finished = any_sandbox.run(shell(tmp_path, "echo out; echo 日本 >&2; exit 3"))
    assert (finished.exit_code, finished.signal, finished.timed_out) == (3, None, False)
    assert finished.output_tail == "out\n日本\n"
    assert (tmp_path / "log").read_text() == "out\n日本\n"


def test_a_signal_is_told_as_a_shell_tells_it(any_sandbox, tmp_path):
    finished = any_sandbox.run(shell(tmp_path, "kill -SEGV $$"))
    assert (finished.exit_code, finished.signal) == (139, signal.SIGSEGV)


def test_who_writes_into_a_closed_pipe_dies_of_it(any_sandbox, tmp_path):
    finished = any_sandbox.run(job(tmp_path, "/bin/bash", "-c", 'yes | head -n 1; echo "${PIPESTATUS[*]}"'))
    assert finished.output_tail == f"y\n{128 + signal.SIGPIPE} 0\n"


def test_only_the_given_variables_are_there(any_sandbox, tmp_path, monkeypatch):
    monkeypatch.setenv("WAREHOUSE_TOKEN", "swordfish")
    finished = any_sandbox.run(
        shell(tmp_path, "env", environment={"PATH": "/usr/bin:/bin", "GIVEN": "a b\nc"})
    )
    names = {line.partition("=")[0] for line in finished.output_tail.splitlines() if "=" in line}
    assert names <= {"PATH", "GIVEN", "HOME", "TMPDIR", "USER", "LOGNAME", "PWD", "SHLVL", "_"}
    assert "swordfish" not in finished.output_tail


def test_the_home_is_empty(any_sandbox, tmp_path):
    assert any_sandbox.run(shell(tmp_path, 'ls -A "$HOME" | wc -l')).output_tail.strip() == "0"


def test_cpu_and_memory_are_those_of_the_whole_tree_and_not_of_datakeep(any_sandbox, tmp_path):
    ballast = bytearray(200 * 2**20)
    small = any_sandbox.run(shell(tmp_path, "exit 0"))
    burn = "import time; x = bytearray(80 << 20)\nwhile time.process_time() < 0.5: pass"
    large = any_sandbox.run(shell(tmp_path, f'python3 -S -c "{burn}"', environment={"PATH": "/usr/bin:/bin"}))
    assert len(ballast) > small.peak_rss_bytes
    assert small.peak_rss_bytes < 40 * 2**20
    assert 80 * 2**20 < large.peak_rss_bytes < 200 * 2**20
    assert 0.4 <= large.cpu_s < large.wall_s + 0.5


# Without the limit it would never end.
def test_at_the_time_limit_the_whole_tree_is_gone_and_its_cpu_time_is_known(any_sandbox, tmp_path):
    script = f"setsid sleep {ours('4711.')}1 & (sleep {ours('4711.')}2 &) ; while :; do :; done"
    finished = any_sandbox.run(shell(tmp_path, script, timeout_s=1))
    assert finished.timed_out
    assert finished.signal == signal.SIGKILL
    assert finished.cpu_s > 0
    assert alive("4711.") == []


def test_what_a_job_leaves_running_is_ended(any_sandbox, tmp_path):
    finished = any_sandbox.run(
        shell(tmp_path, f"setsid sh -c 'sleep {ours('4712.')}1 & sleep {ours('4712.')}2' & sleep 0.2")
    )
    assert finished.exit_code == 0
    assert alive("4712.") == []


def test_a_fork_bomb_is_gone_at_the_time_limit(any_sandbox, tmp_path):
    bomb = f"i=0; while [ $i -lt 300 ]; do setsid sleep {ours('4713.')}$i & i=$((i+1)); done; wait"
    assert any_sandbox.run(shell(tmp_path, bomb, timeout_s=2)).timed_out
    assert alive("4713.") == []


def test_endless_output_fills_neither_disk_nor_memory(any_sandbox, tmp_path, monkeypatch):
    monkeypatch.setattr("datakeep.rerun.process.LOG_LIMIT_BYTES", 2**20)
    finished = any_sandbox.run(shell(tmp_path, "head -c 9000000 /dev/zero | tr '\\0' x; echo; echo the end"))
    assert finished.output_tail.endswith("the end\n")
    assert len(finished.output_tail) <= TAIL_BYTES
    assert (tmp_path / "log").stat().st_size < 2**20 + 2 * TAIL_BYTES
    assert (tmp_path / "log").read_text().endswith("the end\n")
    assert LOG_LIMIT_BYTES > 2**20


def test_a_log_that_cannot_be_written_is_no_space(any_sandbox, tmp_path):
    with pytest.raises(NoSpace):
        any_sandbox.run(shell(tmp_path, "head -c 300000 /dev/zero", log=Path("/dev/full")))


def test_an_interrupt_ends_the_job(any_sandbox, tmp_path):
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012  however early it comes
        threading.Timer(0.7, os.kill, (os.getpid(), signal.SIGINT)).start()
        any_sandbox.run(shell(tmp_path, f"setsid sleep {ours('4714.')}1 & sleep {ours('4714.')}2"))
    assert alive("4714.") == []


def test_an_interrupt_in_the_moment_of_the_start_ends_the_job_too(any_sandbox, tmp_path, monkeypatch):
    def start(*args, **options):
        made = real(*args, **options)
        if options.get("start_new_session"):
            os.kill(os.getpid(), signal.SIGINT)
        return made

    real = subprocess.Popen
    monkeypatch.setattr(programs.subprocess, "Popen", start)
    with pytest.raises(KeyboardInterrupt):
        any_sandbox.run(shell(tmp_path, f"sleep {ours('4718.')}"))
    monkeypatch.undo()
    until(
        lambda: subprocess.run(["pgrep", "-P", str(os.getpid()), "-f", "supervisor"], check=False).returncode
    )
    assert alive("4718.") == []


def test_when_datakeep_is_killed_the_job_ends_too(any_sandbox, tmp_path):
    program = (
        "from pathlib import Path; from datakeep.rerun import sandbox; "
        "from datakeep.rerun.interface import Job; "
        f"sandbox.find({any_sandbox.kind!r}).run(Job("
        f"argv=('sh', '-c', 'setsid sleep {ours('4715.')}1 & sleep {ours('4715.')}2'), "
        f"cwd='/', environment=dict(PATH='/bin'), log=Path({str(tmp_path / 'log')!r}), timeout_s=600))"
    )
    process = subprocess.Popen([sys.executable, "-c", program], env={**os.environ, "TMPDIR": str(tmp_path)})
    until(lambda: len(alive("4715.")) >= 2 or process.poll() is not None)
    process.kill()
    process.wait()
    until(lambda: alive("4715.") == [])


def test_bubblewrap_hides_the_host(bubblewrap, tmp_path):
    secret = tmp_path / "secret.csv"
    secret.write_text("x")
    script = f"cat {secret}; ls /root /mnt /opt /work /var 2>&1; ls / /home /etc; cat /etc/passwd; id -un"
    said = bubblewrap.run(shell(tmp_path, script)).output_tail
    assert f"{secret}: No such file or directory" in said
    for folder in ("/root", "/mnt", "/opt", "/var"):
        assert f"{folder}': No such file" in said or f"{folder}: No such file" in said
    assert "shadow" not in said
    assert said.rstrip().endswith("datakeep")


def test_bubblewrap_lets_only_what_is_writable_be_written(bubblewrap, tmp_path):
    for name in ("ro", "rw"):
        (tmp_path / name).mkdir()
    mounts = {
        "read_only": (Mount(tmp_path / "ro", "/datakeep/code"),),
        "writable": (Mount(tmp_path / "rw", "/datakeep/out"),),
    }
    script = (
        "for d in / /usr /etc /datakeep /datakeep/code /datakeep/out /tmp; do touch $d/new && echo $d; done"
    )
    said = bubblewrap.run(shell(tmp_path, script, **mounts)).output_tail
    written = {line for line in said.splitlines() if line.startswith("/")}
    assert written == {"/datakeep/out", "/tmp"}
    assert (tmp_path / "rw" / "new").exists()
    assert not (tmp_path / "ro" / "new").exists()


def test_bubblewrap_gives_no_network_unless_asked(bubblewrap, tmp_path):
    interfaces = "cat /proc/net/dev | grep -c :"
    assert bubblewrap.run(shell(tmp_path, interfaces)).output_tail.strip() == "1"
    assert not bubblewrap.run(shell(tmp_path, "test -e /etc/resolv.conf")).succeeded
    shared = bubblewrap.run(shell(tmp_path, "readlink /proc/self/ns/net", network=True)).output_tail.strip()
    assert shared == str(Path("/proc/self/ns/net").readlink())


def test_bubblewrap_gives_no_capability(bubblewrap, tmp_path):
    said = bubblewrap.run(shell(tmp_path, "grep CapEff /proc/self/status")).output_tail
    assert int(said.split()[1], 16) == 0


def test_no_variable_shows_in_the_list_of_processes(bubblewrap, tmp_path):
    variables = {"PATH": "/usr/bin:/bin", "HTTPS_PROXY": "http://u:hunter2@proxy"}
    seen = []
    watcher = threading.Timer(0.4, lambda: seen.extend(alive("hunter2")))
    watcher.start()
    bubblewrap.run(shell(tmp_path, "sleep 0.8", environment=variables))
    watcher.join()
    assert seen == []


def test_a_program_that_is_not_there_is_named(bubblewrap, tmp_path):
    with pytest.raises(ProgramMissing, match="/nonexistent/tool"):
        bubblewrap.run(job(tmp_path, "/nonexistent/tool"))


def test_a_bubblewrap_that_does_not_work_is_refused_with_the_way_out(monkeypatch, tmp_path):
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sandbox, "_programs", lambda: iter([broken]))
    with pytest.raises(ProgramMissing) as caught:
        sandbox.find("bubblewrap")
    assert "--sandbox none" in caught.value.next_step
    assert "No permissions" in caught.value.things[0]


def test_apparmor_is_named_as_the_reason(monkeypatch, tmp_path):
    switch = tmp_path / "apparmor"
    switch.write_text("1\n")
    monkeypatch.setattr(sandbox, "_APPARMOR", switch)
    monkeypatch.setattr(sandbox, "_programs", lambda: iter([Path("/bin/false")]))
    with pytest.raises(ProgramMissing, match="AppArmor") as caught:
        sandbox.find("bubblewrap")
    assert "apparmor_restrict_unprivileged_userns=0" in caught.value.next_step


def test_the_first_bubblewrap_that_works_is_taken(monkeypatch):
    works = next(program for program in sandbox._programs() if sandbox._probe(program) is None)
    monkeypatch.setattr(sandbox, "_programs", lambda: iter([Path("/bin/false"), works]))
    found = sandbox.find("bubblewrap")
    assert isinstance(found, Bubblewrap)
    assert found.version.startswith("0.")


def test_what_is_left_running_is_counted_and_helpers_that_leave_by_themselves_are_not(any_sandbox, tmp_path):
    two = f"setsid sleep {ours('4716.')}1 & (sleep {ours('4716.')}2 >/dev/null 2>&1 &) ; exit 0"
    assert any_sandbox.run(shell(tmp_path, two)).left_running == 2
    assert alive("4716.") == []
    assert any_sandbox.run(shell(tmp_path, "sleep 0.1 & exit 0")).left_running == 0


@pytest.mark.parametrize(("kept_waiting", "left"), [(0.9, 0), (0.0, 1)])
def test_time_in_which_a_busy_machine_keeps_helpers_waiting_does_not_count(monkeypatch, kept_waiting, left):
    """The helper is there for three seconds; nine tenths of them it waits for a processor, or sleeps."""
    now_s = [100.0]
    clock = SimpleNamespace(monotonic=lambda: now_s[0], sleep=lambda _: now_s.append(now_s.pop() + 0.1))
    monkeypatch.setattr(supervisor, "time", clock)
    monkeypatch.setattr(supervisor, "descendants", lambda root: [os.getpid()] if now_s[0] < 103 else [])
    monkeypatch.setattr(supervisor, "_waited_s", lambda one: 50 + kept_waiting * (now_s[0] - 100))
    assert supervisor.left_running(1.0) == left


def test_all_that_was_printed_is_counted(any_sandbox, tmp_path):
    assert any_sandbox.run(shell(tmp_path, "head -c 300000 /dev/zero")).output_bytes == 300_000
