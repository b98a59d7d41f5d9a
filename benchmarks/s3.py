"""A store in a bucket, beside dvc and bare obstore: 10,000 small files, SeaweedFS on the loopback.

Usage: python benchmarks/s3.py [--files N] [--runs N]

Every push goes to a prefix of its own. dvc uses its default jobs; bare obstore is a pool of as many threads as
datakeep has connections, without hashes, checks or an inventory.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import obstore
from bytes import Bench, Side, measure
from obstore.store import S3Store

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from object_server import BUCKET, ObjectServer, credentials

CONNECTIONS = 32


class BucketBench(Bench):
    """The rows of this file."""

    def __init__(self, folder: Path, files: int, server: ObjectServer) -> None:
        super().__init__(folder, files)
        self.server = server
        self.turns = itertools.count()
        server.client().create_bucket(Bucket=BUCKET)
        self.env |= credentials() | {"AWS_REGION": "us-east-1"}
        self.url = ""

    def new_place(self) -> str:
        """A prefix that nothing was written to."""
        self.url = (
            f"s3://{BUCKET}/{next(self.turns)}?endpoint_url={self.server.endpoint_url}&region=us-east-1"
        )
        self.env["BENCH_STORE"] = self.url
        return self.url

    def new_remote(self) -> None:
        self.clean("dvc", "remote")
        super().new_dvc()
        dvc = ["dvc", "--cd", "dvc", "remote", "modify", "main"]
        self.run(*dvc, "url", f"s3://{BUCKET}/dvc-{next(self.turns)}")
        self.run(*dvc, "endpointurl", self.server.endpoint_url)
        self.run("dvc", "--cd", "dvc", "add", "-q", "data")

    def sides(self) -> list[tuple[str, float, Side, Side]]:
        """Title, asked ratio, our side, the peer."""
        dvc = ["dvc", "--cd", "dvc"]
        push = [sys.executable, __file__, "--bare", "put", self.server.endpoint_url]
        pull = [sys.executable, __file__, "--bare", "get", self.server.endpoint_url]

        def pushing() -> Side:
            return Side("ingest", [self.step("ingest", "data")], self.new_place)

        def pulling() -> Side:
            return Side("fetch, verified", [self.step("fetch")], lambda: self.clean("got"))

        return [
            ("S3: push against dvc", 4, pushing(), Side("dvc push", [[*dvc, "push", "-q"]], self.new_remote)),
            ("S3: pull against dvc", 4, pulling(),
             Side("dvc pull", [[*dvc, "pull", "-q"]], lambda: self.clean("dvc/.dvc/cache", "dvc/data"))),
            ("S3: push against bare obstore", 0.8, pushing(), Side("obstore.put", [push])),
            ("S3: pull against bare obstore", 0.8, pulling(),
             Side("obstore.get", [pull], lambda: self.clean("bare"))),
        ]  # fmt: skip


def bare(what: str, endpoint_url: str) -> None:
    """All files to, or from, one prefix of the bucket, as obstore alone does it."""
    store = S3Store(
        BUCKET, prefix="bare", endpoint=endpoint_url, region="us-east-1", client_options={"allow_http": True}
    )
    files = [path for path in sorted(Path("data").rglob("*")) if path.is_file()]

    def put(path: Path) -> None:
        obstore.put(store, str(path), path.read_bytes())

    def get(path: Path) -> None:
        target = Path("bare") / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(obstore.get(store, str(path)).bytes())

    with ThreadPoolExecutor(CONNECTIONS) as several:
        list(several.map(put if what == "put" else get, files))


def section(runs: int = 5, *, files: int = 10_000) -> list[str]:
    """The page's section, for benchmarks/run.py."""
    lines = [f"## A bucket: {files:,} files of 0.5 to 20 KB, SeaweedFS on the loopback", ""]
    lines += ["| row | datakeep | peer | asked | found | peak memory |", "|---|---|---|---|---|---|"]
    with tempfile.TemporaryDirectory(prefix="datakeep-s3-") as folder:
        server = ObjectServer(Path(folder) / "server")
        server.start()
        try:
            bench = BucketBench(Path(folder), files, server)
            lines += [measure(bench, row, runs) for row in bench.sides()]
        finally:
            server.kill()
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each side")
    parser.add_argument("--bare", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        bare(*options.bare)
    else:
        section(options.runs, files=options.files)


if __name__ == "__main__":
    main()
