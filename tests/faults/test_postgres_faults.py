"""A server that dies, a connection that is cut, a time limit, a full disk, Ctrl-C: one clear error, nothing left."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg
import pytest
from postgres_server import PASSWORD, PostgresServer
from server_process import PATIENCE_S, until

from datakeep.core.progress import Silent
from datakeep.extract.sql.address import address_of
from datakeep.extract.sql.faults import DatabaseUnreachable, QueryFailed
from datakeep.extract.sql.interface import Exactness, Statement
from datakeep.extract.sql.parquet_parts import write_parts
from datakeep.extract.sql.postgres import PostgresDatabase

FLIGHTS = "SELECT * FROM flights"
#: More rows than any test waits for, made one by one; behind FROM, the server would first put all on its disk.
ENDLESS = "SELECT generate_series(1, 2000000000) AS nr, repeat('x', 30) AS text"


class Told(Silent):
    """Calls ``then`` once, when the first rows have come."""

    def __init__(self, then):
        self.then = then

    def advance(self, count=1, *, size_bytes=0):
        then, self.then = self.then, None
        if then is not None:
            then()


def extract(url, text, folder, then=None, timeout_s=None):
    statement = Statement(text, "postgres", text)
    database = PostgresDatabase(address_of(url))
    with database.session(timeout_s=timeout_s) as session, session.run(statement, {}, Exactness()) as result:
        return write_parts(result, folder, progress=Told(then), part_bytes=1_000_000, row_group_rows=20_000)


def assert_clear(error, folder):
    assert error.next_step
    assert PASSWORD not in str(error)
    assert "postgresql://keeper@127.0.0.1:" in error.what
    assert list(folder.iterdir()) == []


def terminate(server):
    with server.connect() as connection:
        ended = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'datakeep'"
        ).fetchall()
    assert ended == [(True,)]


def test_a_connection_that_the_administrator_ends_is_one_clear_error(flights, tmp_path):
    with pytest.raises(DatabaseUnreachable, match="ended on the way") as caught:
        extract(flights.url("flights"), ENDLESS, tmp_path, lambda: terminate(flights))
    assert_clear(caught.value, tmp_path)


def test_a_connection_that_the_network_resets_is_one_clear_error(flights, tmp_path):
    with Wire(flights.port) as wire:
        url = flights.url("flights").replace(f":{flights.port}/", f":{wire.port}/")
        with pytest.raises(DatabaseUnreachable, match="ended on the way") as caught:
            extract(url, ENDLESS, tmp_path, wire.reset)
    assert_clear(caught.value, tmp_path)


class Wire:
    """Passes bytes between a client and a server, until it is told to reset the last connection."""

    def __init__(self, port):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.server_port, self.ends = port, []

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:  # the driver makes a connection of its own first, to learn the server's types
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.server_port))
                self.ends = [client, server]
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source, sink):
        with contextlib.suppress(OSError):
            while block := source.recv(1 << 16):
                sink.sendall(block)
            sink.shutdown(socket.SHUT_WR)

    def reset(self):
        for end in self.ends:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.shutdown(socket.SHUT_RD)
            end.close()


def test_a_server_that_dies_in_mid_stream_is_one_clear_error_and_the_same_call_succeeds_later(tmp_path):
    server = PostgresServer()
    try:
        server.start()
        url, query = server.url(), "SELECT g, md5(g::text) AS text FROM generate_series(1, 300000) AS g"
        with pytest.raises(DatabaseUnreachable, match="ended on the way") as caught:
            extract(url, ENDLESS, tmp_path, server.kill)
        assert_clear(caught.value, tmp_path)
        with pytest.raises(DatabaseUnreachable, match="cannot be reached: nothing listens there") as caught:
            extract(url, query, tmp_path)
        assert_clear(caught.value, tmp_path)
        server.start()
        assert extract(url, query, tmp_path).rows == 300_000
    finally:
        server.remove()


@pytest.mark.parametrize(
    "text",
    [ENDLESS, "SELECT pg_sleep(3600)::text AS x", "SELECT count(*) AS n FROM flights AS a, flights AS b"],
)
def test_a_time_limit_is_said_with_the_way_out(flights, tmp_path, text):
    began = time.monotonic()
    with pytest.raises(QueryFailed, match="gave up: canceling statement due to statement timeout") as caught:
        extract(flights.url("flights"), text, tmp_path, timeout_s=1)
    assert "--query-timeout" in caught.value.next_step
    assert_clear(caught.value, tmp_path)
    assert time.monotonic() - began < PATIENCE_S


def test_who_leaves_early_does_not_wait_for_the_rest_and_the_session_goes_on(flights):
    began = time.monotonic()
    with PostgresDatabase(address_of(flights.url("flights"))).session() as session:
        for leave in (True, False):
            with session.run(Statement(ENDLESS, "postgres", ENDLESS), {}, Exactness()) as result:
                if leave:
                    next(result.batches())
                with pytest.raises(RuntimeError, match="rows of a query are on their way"):
                    session.ask("SELECT 1")
                rest = result.batches() if not leave else None
            if rest is not None:
                assert list(rest) == [], "nothing comes after the session has left it"
            else:
                with pytest.raises(RuntimeError, match="can be read once"):
                    next(result.batches())
            assert session.ask("SELECT count(*) FROM airlines") == [(16,)]
        with (
            pytest.raises(ZeroDivisionError),
            session.run(Statement(ENDLESS, "postgres", ENDLESS), {}, Exactness()),
        ):
            raise ZeroDivisionError
        assert session.ask("SELECT count(*) FROM airlines") == [(16,)]
    assert time.monotonic() - began < PATIENCE_S


EXTRACTING = """
import json, resource, sys
sys.path[:0] = json.loads(sys.argv[1])
from pathlib import Path
from test_postgres_faults import Told, extract
from datakeep.core.errors import DatakeepError
folder = Path(sys.argv[3])
if sys.argv[5] == "full":
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
try:
    extract(sys.argv[2], sys.argv[4], folder, lambda: print("rows", flush=True))
    print("whole")
except DatakeepError as error:
    print(json.dumps([error.id(), error.what, sorted(path.name for path in folder.iterdir())]))
"""


def extracting(url, text, folder, what=""):
    argv = [
        sys.executable,
        "-c",
        EXTRACTING,
        json.dumps([str(Path(__file__).parent), *sys.path]),
        url,
        str(folder),
        text,
        what,
    ]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def backends(server):
    with server.connect() as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'datakeep'"
        return connection.execute(query).fetchone()[0]


@pytest.mark.parametrize(
    "text", [ENDLESS, "SELECT g, pg_sleep(g * 100)::text AS x FROM generate_series(0, 9) AS g"]
)
def test_ctrl_c_ends_it_at_once_and_leaves_nothing(flights, tmp_path, text):
    process = extracting(flights.url("flights"), text, tmp_path)
    if text is ENDLESS:
        assert process.stdout.readline() == "rows\n"
    else:
        until(lambda: any(tmp_path.iterdir()) or _sleeping(flights))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == -signal.SIGINT, (out, err)
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert "whole" not in out
    assert list(tmp_path.iterdir()) == []
    until(lambda: not backends(flights))


def _sleeping(server):
    with server.connect() as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'datakeep' AND wait_event = 'PgSleep'"
        return connection.execute(query).fetchone()[0]


def test_a_full_disk_is_one_clear_error_and_the_server_is_let_go(flights, tmp_path):
    process = extracting(flights.url("flights"), ENDLESS, tmp_path, "full")
    out, err = process.communicate(timeout=PATIENCE_S)
    assert err == ""
    identifier, what, left = json.loads(out.splitlines()[-1])
    assert identifier == "no-space"
    assert str(tmp_path) in what
    assert left == []
    until(lambda: not backends(flights))


def test_a_table_that_is_locked_waits_no_longer_than_the_time_limit(flights, tmp_path):
    with psycopg.connect(flights.url("flights")) as locker:
        locker.execute("LOCK TABLE airlines IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(QueryFailed, match="timeout"):
            extract(flights.url("flights"), "SELECT * FROM airlines", tmp_path, timeout_s=1)
    assert extract(flights.url("flights"), "SELECT * FROM airlines", tmp_path).rows == 16
