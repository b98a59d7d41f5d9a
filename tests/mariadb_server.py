"""A real MariaDB server for tests: in a folder of its own, on a loopback port of its own, as no privileged user."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from server_process import PATIENCE_S, ended, free_port, start_server, wait_until

#: Escapes are needed in a URL, and nothing else looks like it: a message that repeats it is found.
PASSWORD = "pw-Geheim/4711@x"


def _program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    assert found, f"{name} is not installed; .ci/setup dev installs it"
    return found


@dataclass
class MariadbServer:
    """One server; :meth:`start` and :meth:`kill` can follow each other, the data stay."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="datakeep-mariadb-")))
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Make it if it is new, start it, and wait until it answers."""
        if new := not (self.folder / "data").exists():
            self._make()
        self.port = self.port or free_port()
        argv = [
            _program("mariadbd"), "--no-defaults", f"--datadir={self.folder}/data", f"--port={self.port}",
            "--bind-address=127.0.0.1", f"--socket={self.folder}/socket", "--skip-name-resolve",
            "--innodb-buffer-pool-size=16M", "--innodb-log-file-size=8M", "--innodb-flush-log-at-trx-commit=0",
            "--max-allowed-packet=64M", "--character-set-server=utf8mb4", *self._user(),
        ]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self.process = start_server(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
        password = "" if new else PASSWORD
        wait_until(self.process, lambda: self._answers(password), self.folder / "log", PATIENCE_S)
        if new:
            with self.connect(password="") as connection, connection.cursor() as cursor:
                for host in ("localhost", "127.0.0.1"):
                    cursor.execute(f"create user if not exists root@'{host}'")
                    cursor.execute(f"set password for root@'{host}' = password(%s)", (PASSWORD,))
                    cursor.execute(f"grant all on *.* to root@'{host}' with grant option")

    def _make(self) -> None:
        self.folder.chmod(0o755)
        user = self._user()
        if user:
            shutil.chown(self.folder, user[0].partition("=")[2])
        argv = [
            _program("mariadb-install-db"), "--no-defaults", f"--datadir={self.folder}/data", "--skip-test-db",
            "--auth-root-authentication-method=normal", "--skip-name-resolve", *user,
        ]  # fmt: skip
        done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd="/")
        assert done.returncode == 0, done.stdout + done.stderr

    @staticmethod
    def _user() -> list[str]:
        """As whom it runs where the tests are root, whom it refuses."""
        if os.geteuid() != 0:
            return []
        names = {entry.pw_name for entry in pwd.getpwall()}
        return [f"--user={'mysql' if 'mysql' in names else 'nobody'}"]

    def _answers(self, password: str) -> bool:
        import pymysql

        try:
            self.connect(password=password).close()
        except pymysql.OperationalError:
            return False
        return True

    def url(self, database: str = "mysql", *, user: str = "root", password: str = PASSWORD) -> str:
        """Where it answers."""
        return f"mysql://{user}:{quote(password, safe='')}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str | None = None, *, password: str = PASSWORD, **options: Any) -> Any:
        """A connection of pymysql as the owner of everything, which commits at once."""
        import pymysql

        return pymysql.connect(
            host="127.0.0.1", port=self.port, user="root", password=password, database=database, autocommit=True,
            charset="utf8mb4", connect_timeout=5, **options,
        )  # fmt: skip

    def kill(self) -> None:
        """End it as a power cut would."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(PATIENCE_S)
            ended(self.process)
            self.process = None

    def remove(self) -> None:
        """End it, and take its folder away."""
        self.kill()
        shutil.rmtree(self.folder)
