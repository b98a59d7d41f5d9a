"""Real trackers for tests: an MLflow server, and Weights & Biases offline, each in an environment of its own.

The environments lie beside ``.venv`` and are made when they are first needed; ``trackers/*.txt`` pins what they have.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock
from server_process import PATIENCE_S, free_port, kill_group, start_server, wait_until

_ROOT = Path(__file__).resolve().parents[1]


def python_of(name: str) -> Path:
    """The interpreter of the environment ``trackers/NAME.txt``, made if it is not there or another one's."""
    folder = _ROOT / f".venv-{name}"
    wanted = (_ROOT / "tests" / "trackers" / f"{name}.txt").read_text() + sys.version
    stamp = folder / "made-of.txt"
    with FileLock(_ROOT / f".venv-{name}.lock"):
        if not stamp.is_file() or stamp.read_text() != wanted:
            shutil.rmtree(folder, ignore_errors=True)
            pins = _ROOT / "tests" / "trackers" / f"{name}.txt"
            _uv("venv", "--quiet", "--python", sys.executable, str(folder))
            _uv(
                "pip",
                "install",
                "--quiet",
                "--no-deps",
                "--python",
                str(folder / "bin/python"),
                "-r",
                str(pins),
            )
            stamp.write_text(wanted)
    return folder / "bin/python"


def _uv(*arguments: str) -> None:
    argv = [str(Path(sys.executable).parent / "uv"), *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=_ROOT)
    assert done.returncode == 0, done.stderr


@dataclass
class MlflowServer:
    """One server on SQLite, on a loopback port of its own; :meth:`start` and :meth:`stop` can follow each other."""

    folder: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        python = python_of("mlflow")
        if not self.port:
            self.port = free_port()
        server = [
            str(python), "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1",
            "--backend-store-uri", f"sqlite:///{self.folder}/runs.db",
            "--artifacts-destination", f"{self.folder}/files",
        ]  # fmt: skip
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        environment = kept | {
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "PATH": f"{python.parent}{os.pathsep}{kept.get('PATH', os.defpath)}",
        }
        with (self.folder / "log").open("ab") as log:
            self.process = start_server(
                server, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self.folder, env=environment, start_new_session=True,
            )  # fmt: skip
        wait_until(self.process, self._answers, self.folder / "log", PATIENCE_S)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def client(self) -> Any:
        """MLflow's own client."""
        import mlflow

        return mlflow.MlflowClient(tracking_uri=self.uri)

    def stop(self) -> None:
        """End it, and whatever it started."""
        if self.process is not None:
            kill_group(self.process)
            self.process = None
