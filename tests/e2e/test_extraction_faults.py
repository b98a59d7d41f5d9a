"""What breaks an extraction in mid-stream leaves no version and no file, and the same command goes through later."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from fault_proxy import TcpProxy
from postgres_server import PASSWORD, PostgresServer
from queries import STATED, Queries, make_queries, sqlite_file
from seen import error_of
from server_process import PATIENCE_S, surely_ended, until
from world import Ran

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from world import World

ROWS, HELD_AT = 16_000, 15_000
#: The advisory lock that a stream of rows waits for on its way.
GATE = 7
#: The rows are long, so that a row group is on the disk before the row at which the server waits.
LONG = "SELECT id, repeat(md5(id::text), 128) AS pad, held(id) AS held FROM public.event"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server of our own, which these tests may kill."""
    made = PostgresServer()
    try:
        made.start()
        with made.connect() as connection:
            connection.execute(f"CREATE TABLE event AS SELECT id FROM generate_series(1, {ROWS}) AS id")
            connection.execute("CREATE TABLE hold (seconds float8)")
            connection.execute(
                f"""
                CREATE FUNCTION held(id int) RETURNS bool LANGUAGE plpgsql STABLE AS $$ BEGIN
                    IF id = {HELD_AT} THEN PERFORM pg_sleep(seconds) FROM hold; END IF;
                    RETURN id = {HELD_AT};
                END $$"""
            )
            connection.execute(
                f"""
                CREATE FUNCTION gated(id int) RETURNS bool LANGUAGE plpgsql STABLE AS $$ BEGIN
                    IF id = {HELD_AT} THEN PERFORM pg_advisory_xact_lock({GATE}); END IF;
                    RETURN id = {HELD_AT};
                END $$"""
            )
            for name in ("debit", "credit"):
                connection.execute(f"CREATE TABLE {name} AS SELECT id FROM generate_series(1, {ROWS}) AS id")
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="module")
def queries(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Queries]:
    yield from make_queries(world, tmp_path_factory.mktemp("queries"))


@contextmanager
def holding(server: PostgresServer, seconds: float) -> Iterator[None]:
    """While it lasts, a stream of LONG stops at a row that is not the last."""
    with server.connect() as connection:
        connection.execute("INSERT INTO hold VALUES (%s)", (seconds,))
    try:
        yield
    finally:
        with server.connect() as connection:
            connection.execute("TRUNCATE hold")


def running(queries: Queries, server: PostgresServer, name: str, *options: str) -> subprocess.Popen[str]:
    sql = queries.write(f"{name}.sql", LONG)
    argv = ("register", name, "--sql", sql, "--database", server.url(), *STATED, "--no-profile", *options)
    return queries.world.aiko.start(*argv, cwd=queries.world.keep)


def wait_for_rows(queries: Queries) -> None:
    """Until rows lie in a file among the temporary ones."""
    base = Path(queries.world.aiko.env["TMPDIR"])

    def came() -> bool:
        with suppress(FileNotFoundError):  # what is looked at has just got its name, or gone
            return any(path.stat().st_size > 1000 for path in base.rglob(".datakeep-*.parquet"))
        return False

    until(came, said="no row came")


def ended(process: subprocess.Popen[str]) -> Ran:
    out, err = process.communicate(timeout=PATIENCE_S)
    return Ran(process.returncode, out, err)


def terminate_backend(server: PostgresServer) -> None:
    with server.connect() as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'datakeep'"
        )


FAULTS: dict[str, tuple[Callable[[PostgresServer], None], int, str]] = {
    "server-killed": (PostgresServer.kill, 35, "ended on the way"),
    "connection-ended": (terminate_backend, 35, "ended on the way"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_the_server_goes_in_mid_stream(queries: Queries, server: PostgresServer, name: str) -> None:
    fault, code, words = FAULTS[name]
    before = queries.everything()
    with holding(server, 600):
        process = running(queries, server, name)
        wait_for_rows(queries)
        fault(server)
        ran = ended(process)
        if server.process is None:
            server.start()
    assert ran.code == code, ran.err
    error = error_of(ran)
    assert words in error.what
    assert "run the same command again" in error.next_step
    assert PASSWORD not in error.text
    assert queries.everything() == before
    assert queries.versions(name) == []
    goes_through(queries, server, name)


def goes_through(queries: Queries, server: PostgresServer, name: str) -> None:
    ran = ended(running(queries, server, name))
    assert ran.code == 0, ran.err
    assert queries.source(name)["rows"] == ROWS
    assert list(Path(queries.world.aiko.env["TMPDIR"]).iterdir()) == []


def test_the_time_limit(queries: Queries, server: PostgresServer) -> None:
    before = queries.everything()
    with holding(server, 600):
        ran = ended(running(queries, server, "late", "--query-timeout", "2"))
    error = error_of(ran)
    assert ran.code == 34
    assert "statement timeout" in error.what
    assert "--query-timeout" in error.next_step
    assert queries.everything() == before


ENDINGS = {
    signal.SIGINT: (130, ""),
    signal.SIGTERM: (143, " (by SIGTERM)"),
    signal.SIGHUP: (129, " (by SIGHUP)"),
}
#: The server computes for hours before it sends anything.
COUNT = "SELECT count(*) AS n FROM public.event AS a, public.event AS b, public.event AS c WHERE a.id <> b.id + c.id"


def interrupted(ran: Ran, ending: signal.Signals) -> None:
    code, by = ENDINGS[ending]
    assert ran.code == code, ran.err
    said = f"error: interrupted; nothing was recorded{by}\n  next: run the same command again\n"
    assert ran.err.lstrip().endswith(said)
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_interruption_in_mid_stream(
    queries: Queries, server: PostgresServer, ending: signal.Signals
) -> None:
    name = f"stopped-{ending.name.lower()}"
    before = queries.everything()
    with holding(server, 600):
        process = running(queries, server, name)
        with surely_ended(process):
            wait_for_rows(queries)
            for _ in range(3):  # who is impatient leaves nothing behind, either
                os.kill(process.pid, ending)
                time.sleep(0.02)
            ran = ended(process)
        assert idle(server), "the server does not work on"
    interrupted(ran, ending)
    assert queries.everything() == before
    if ending == signal.SIGINT:
        goes_through(queries, server, name)


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_interruption_before_the_first_row(
    queries: Queries, server: PostgresServer, ending: signal.Signals
) -> None:
    """Also of what a script put into the background, in which Ctrl-C is ignored."""
    before = queries.everything()
    sql = queries.write("count.sql", COUNT)
    argv = ["register", "count", "--sql", str(sql), "--database", server.url(), *STATED]
    shell = (
        'trap "" INT; exec "$0" -m datakeep "$@"'
        if ending == signal.SIGTERM
        else 'exec "$0" -m datakeep "$@"'
    )
    process = subprocess.Popen(
        ["sh", "-c", shell, sys.executable, *argv], cwd=queries.world.keep, env=queries.world.aiko.env, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    with surely_ended(process):
        wait_for_query(server)
        process.send_signal(ending)
        ran = ended(process)
    assert idle(server), "the server does not work on"
    interrupted(ran, ending)
    assert queries.everything() == before


def wait_for_query(server: PostgresServer) -> None:
    asked = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'datakeep' AND query LIKE 'COPY%'"
    with server.connect() as connection:
        until(lambda: connection.execute(asked).fetchall(), said="no query began")


def test_a_terminal_that_is_closed(queries: Queries, server: PostgresServer) -> None:
    before = queries.everything()
    sql = queries.write("closed.sql", COUNT)
    argv = (
        sys.executable,
        "-m",
        "datakeep",
        "register",
        "closed",
        "--sql",
        str(sql),
        "--database",
        server.url(),
    )
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(queries.world.keep)
        os.execve(sys.executable, [*argv, *STATED], queries.world.aiko.env)
    wait_for_query(server)
    os.close(terminal)
    _, status = os.waitpid(process, 0)
    assert os.waitstatus_to_exitcode(status) == 129
    assert idle(server)
    assert queries.everything() == before


def idle(server: PostgresServer) -> bool:
    end = time.monotonic() + PATIENCE_S
    with server.connect() as connection:
        while time.monotonic() < end:
            (count,) = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'datakeep'"
            ).fetchone()
            if not count:
                return True
            time.sleep(0.05)
    return False


def test_a_kill_leaves_what_the_next_run_removes(queries: Queries, server: PostgresServer) -> None:
    before = queries.everything()
    with holding(server, 600):
        process = running(queries, server, "killed")
        wait_for_rows(queries)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        after = queries.everything()
        left = after.pop("tmp")
        assert any(path.endswith(".parquet") for path in left), "it was killed with rows on the disk"
        assert after == {name: found for name, found in before.items() if name != "tmp"}
        assert idle(server), "the server notices by itself, and ends the query"
    assert queries.versions("killed") == []
    goes_through(queries, server, "killed")


def test_the_network_resets_the_connection(queries: Queries, server: PostgresServer) -> None:
    before = queries.everything()
    with holding(server, 600), TcpProxy(server.port) as proxy:
        sql = queries.write("reset.sql", LONG)
        url = server.url().replace(f":{server.port}/", f":{proxy.port}/")
        argv = ("register", "reset", "--sql", sql, "--database", url, *STATED, "--no-profile")
        process = queries.world.aiko.start(*argv, cwd=queries.world.keep)
        wait_for_rows(queries)
        proxy.reset()
        ran = ended(process)
        assert idle(server), "the server ends the query, too"
    error = error_of(ran)
    assert ran.code == 35, ran.err
    assert "ended on the way" in error.what
    assert "run the same command again" in error.next_step
    assert PASSWORD not in error.text
    assert queries.everything() == before
    goes_through(queries, server, "reset")


def test_a_writer_at_the_same_time(queries: Queries, server: PostgresServer) -> None:
    """Each of its transactions writes one row into either table; the extraction sees both, or none."""
    text = """
        SELECT 'debit' AS side, id, gated(id) AS held FROM public.debit
        UNION ALL SELECT 'credit', id, false FROM public.credit"""
    closed, stop, written = threading.Event(), threading.Event(), []
    waits = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'datakeep' AND wait_event = 'advisory'"

    def write() -> None:
        with psycopg.connect(server.url()) as connection, server.connect() as gate:
            gate.execute("SELECT pg_advisory_lock(%s)", (GATE,))
            closed.set()
            number, more = ROWS, 20
            while not stop.is_set():
                number += 1
                for name in ("debit", "credit"):
                    connection.execute(f"INSERT INTO {name} VALUES (%s)", (number,))
                connection.commit()
                written.append((time.time(), number))
                if more and gate.execute(waits).fetchone():
                    more -= 1
                    if not more:
                        gate.execute("SELECT pg_advisory_unlock(%s)", (GATE,))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert closed.wait(PATIENCE_S)
        queries.register("ledger", text, server.url())
    finally:
        stop.set()
        writer.join()
    rows = queries.rows("ledger")
    sides = {side: sorted(one for which, one, _ in rows if which == side) for side in ("debit", "credit")}
    assert sides["debit"] == sides["credit"]
    assert sides["debit"] == list(range(1, len(sides["debit"]) + 1))
    run = queries.source("ledger")["extraction"]
    during = [number for when, number in written if when < _stamp(run["ended_at"])]
    assert len(sides["debit"]) < during[-1] - 10, "it wrote while the rows were on their way"
    assert len(sides["debit"]) >= ROWS


def _stamp(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()


# Runs in a mount namespace of its own, where it may mount a small disk for temporary files.
FULL = """
import json, os, subprocess, sys

keep, small, commands = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", small], check=True)


def call(command):
    done = subprocess.run([sys.executable, "-m", "datakeep", *command], cwd=keep, capture_output=True, text=True)
    left = sorted(os.path.join(root, leaf) for root, _, leaves in os.walk(small) for leaf in leaves)
    return {"code": done.returncode, "out": done.stdout, "err": done.stderr, "left": left}


full = [call(command) for command in commands]
subprocess.run(["mount", "-o", "remount,size=64m", small], check=True)
print(json.dumps({"full": full, "again": call(commands[0])}))
"""


def test_a_disk_that_is_too_small_for_the_rows(queries: Queries, tmp_path: Path) -> None:
    url = sqlite_file(
        tmp_path / "big.db",
        "CREATE TABLE t AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 12000) "
        "SELECT id, randomblob(1000) AS noise FROM n",
    )
    commands = []
    for name, order in (("full", ""), ("sorted", " ORDER BY noise")):
        sql = queries.write(f"{name}.sql", f"SELECT id, noise FROM t{order}")
        commands.append(["register", name, "--sql", str(sql), "--database", url, *STATED])
    before = queries.everything()
    script = ("unshare", "-Urm", sys.executable, "-c", FULL)
    temporary = queries.world.aiko.env["TMPDIR"]
    found: dict[str, Any] = json.loads(
        queries.world.aiko.run(*script, queries.world.keep, temporary, json.dumps(commands)).out
    )
    for full in found["full"]:
        assert full["code"] == 19, full
        error = error_of(Ran(full["code"], full["out"], full["err"]))
        assert "no room" in error.what
        assert "TMPDIR" in error.next_step
        assert "datakeep-scratch" not in error.text, "a folder that is gone by now is not named"
        assert full["left"] == []
    assert found["again"]["code"] == 0, found["again"]
    assert found["again"]["left"] == []
    assert queries.source("full")["rows"] == 12_000
    assert queries.everything()["tmp"] == before["tmp"]


@pytest.mark.parametrize("kind", ["sqlite", "duckdb"])
def test_ctrl_c_of_the_others(queries: Queries, tmp_path: Path, kind: str) -> None:
    url = sqlite_file(tmp_path / "s.db", "CREATE TABLE t (id INTEGER)") if kind == "sqlite" else "duckdb:"
    many = 10**12
    text = {
        "sqlite": f"WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < {many}) "
        "SELECT sum(id) AS s FROM n",
        "duckdb": f"SELECT sum(a.range * b.range) AS s FROM range({many}) AS a, range(1000) AS b",
    }[kind]
    sql = queries.write(f"{kind}.sql", text)
    before = queries.everything()
    argv = ("register", f"endless-{kind}", "--sql", sql, "--database", url, *STATED)
    process = queries.world.aiko.start(*argv, cwd=queries.world.keep)
    base = Path(queries.world.aiko.env["TMPDIR"])
    until(lambda: any(base.glob("datakeep-scratch-*")))
    time.sleep(1)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    ran = ended(process)
    assert ran.code == 130, ran.err
    assert "Traceback" not in ran.err
    assert queries.everything() == before
