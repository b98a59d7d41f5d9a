"""A stand-in for a Snowflake account: fakesnow, which answers Snowflake's protocol from DuckDB, to the real driver.

What it lacks is put in its place before it starts: ``ALTER SESSION`` does nothing, and version and clock are fixed.
"""

from __future__ import annotations

import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING

from server_process import PATIENCE_S, free_port, kill_group, start_server, wait_until
from tracker_programs import python_of

if TYPE_CHECKING:
    from pathlib import Path

PASSWORD = "snow-Geheim-4711"
_SERVE = """
import sys
import fakesnow.server
import uvicorn
from fakesnow.cursor import FakeSnowflakeCursor

connect, execute = fakesnow.server.shared_fs.connect, FakeSnowflakeCursor.execute
greeting = "CURRENT_VERSION(), TO_CHAR(SYSDATE(), 'YYYY-MM-DD\\"T\\"HH24:MI:SS.FF6')"
fixed = "'0.fake', '2026-11-01T00:00:00.000000'"
fakesnow.server.shared_fs.connect = lambda *a, **k: connect(*a, **(k | {"nop_regexes": ["^ALTER SESSION"]}))
FakeSnowflakeCursor.execute = lambda self, text, *a, **k: execute(self, text.replace(greeting, fixed), *a, **k)
uvicorn.run(fakesnow.server.app, host="127.0.0.1", port=int(sys.argv[1]))
"""


@dataclass
class SnowflakeServer:
    """One server, in memory, on a loopback port of its own."""

    folder: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.port = free_port()
        argv = [str(python_of("fakesnow")), "-c", _SERVE, str(self.port)]
        with (self.folder / "log").open("ab") as log:
            self.process = start_server(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
            )
        wait_until(self.process, self._answers, self.folder / "log", PATIENCE_S)

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=5).close()
        except urllib.error.HTTPError:
            return True  # it has no page there, and says so
        except (urllib.error.URLError, OSError):
            return False
        return True

    def url(self, database: str = "PLANT", schema: str = "PUBLIC") -> str:
        """Where it answers."""
        place = f"host=127.0.0.1&port={self.port}&protocol=http"
        return f"snowflake://aiko:{PASSWORD}@account/{database}/{schema}?warehouse=small&{place}"

    def do(self, *statements: str) -> None:
        """Run these in it, by the driver itself."""
        import adbc_driver_snowflake.dbapi

        from datakeep.extract.sql.opening import open_database

        options = open_database(self.url()).options()  # type: ignore[attr-defined]  # a warehouse has them
        with adbc_driver_snowflake.dbapi.connect(db_kwargs=options, autocommit=True) as connection:
            for one in statements:
                with connection.cursor() as cursor:
                    cursor.execute(one)
                    cursor.fetchall()

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            kill_group(self.process)
            self.process = None
