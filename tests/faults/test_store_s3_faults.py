"""A bucket behind a bad network: what is transient is got over, what is wrong is never accepted."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest
from fault_proxy import FaultProxy
from object_server import IDENTITIES, ObjectServer, credentials
from server_process import PATIENCE_S

from datakeep.core.errors import AccessDenied, DatakeepError, NoSpace, StoreMissing, StoreUnreachable
from datakeep.core.progress import Silent
from datakeep.store.checking import Expected, check_deep, check_quick, check_stated, listing
from datakeep.store.copying import copy_objects
from datakeep.store.dvc_format import object_key
from datakeep.store.fetch import fetch
from datakeep.store.ingest import ingest, put_bytes
from datakeep.store.location import locate
from datakeep.store.object_clients import Patience, _of_profile
from datakeep.store.object_store import BucketStore
from datakeep.store.opening import create_store, open_store
from datakeep.store.scan import scan

FILES = {f"d{n % 7}/f{n}": random.Random(n).randbytes(n * 97) for n in range(90)} | {"big": bytes(3_000_000)}
IMPATIENT = Patience(connect_s=2, stall_s=1, retries=12, retry_s=40)


@pytest.fixture
def source(tmp_path):
    for path, data in FILES.items():
        (tmp_path / "source" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / path).write_bytes(data)
    return tmp_path / "source"


@pytest.fixture
def place(s3):
    """An empty store in a bucket, as the keep ``vision`` has it."""
    place = s3.place()
    create_store("cloud", f"s3://{place}", keep="vision", endpoint_url=s3.endpoint_url)
    return place


def through(proxy, place, **options):
    location = locate("cloud", f"s3://{place}", proxy.endpoint_url, "us-east-1")
    return BucketStore("cloud", location, **{"patience": IMPATIENT, **options})


def files_in(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def once_for(every, fault):
    """The first request for every so many-th object fails; the next one for it does not."""
    seen = set()

    def choose(method, path, number):
        if "/files/md5/" not in path or (method, path) in seen:
            return None
        seen.add((method, path))
        return fault if len(seen) % every == 0 else None

    return choose


@pytest.mark.parametrize(
    "fault",
    ["reset", "truncate", "stall", "flip", "flip upload", (503, "SlowDown"), (500, "InternalError")],
    ids=str,
)
def test_what_passes_is_got_over(s3, place, source, tmp_path, fault):
    with FaultProxy(s3.endpoint_url, once_for(40 if fault == "stall" else 7, fault)) as proxy:
        store = through(proxy, place, connections=8)
        inventory = ingest(scan([source]).files, [store], "orders", Silent())
        report = fetch(inventory, [store], "orders", tmp_path / "out", Silent())
        assert proxy.faults >= 3
    assert (report.faults, report.unavailable) == ([], [])
    assert files_in(tmp_path / "out") == FILES
    again = fetch(inventory, [through(s3, place)], "orders", tmp_path / "again", Silent())
    assert again.unavailable == [], "what was sent through the bad network lies there whole"


def test_bytes_that_are_always_flipped_are_never_accepted(s3, place, source, tmp_path):
    good = create_store("nas", str(tmp_path / "nas"), keep="vision")
    inventory = ingest(scan([source]).files, [through(s3, place), good], "orders", Silent())

    def flip(method, path, number):
        return "flip" if method == "GET" and "/files/md5/" in path else None

    with FaultProxy(s3.endpoint_url, flip) as proxy:
        bad = through(proxy, place)
        report = fetch(inventory, [bad, good], "orders", tmp_path / "out", Silent())
        alone = fetch(inventory, [bad], "orders", tmp_path / "alone", Silent())
    assert report.unavailable == []
    assert {fault.kind for fault in report.faults} == {"mismatched"}
    assert files_in(tmp_path / "out") == FILES
    empty = {path for path, data in FILES.items() if not data}
    assert set(alone.unavailable) == set(FILES) - empty
    assert set(files_in(tmp_path / "alone")) == empty


@pytest.mark.parametrize("damage", ["flipped", "truncated", "emptied", "deleted", "replaced", "longer"])
def test_a_damaged_object_is_named_and_taken_from_another_store(s3, place, source, tmp_path, damage):
    store = through(s3, place)
    good = create_store("nas", str(tmp_path / "nas"), keep="vision")
    inventory = ingest(scan([source]).files, [store, good], "orders", Silent())
    data = FILES["d3/f3"]
    key = object_key("orders", hashlib.md5(data).hexdigest())
    wrong = {
        "flipped": data[:-1] + bytes([data[-1] ^ 1]), "truncated": data[:-1], "emptied": b"",
        "replaced": FILES["d4/f4"], "longer": data + b"x" * 5_000_000,
    }  # fmt: skip
    if damage == "deleted":
        bucket, _, prefix = place.partition("/")
        s3.client().delete_object(Bucket=bucket, Key=f"{prefix}/{key}")
    else:
        store.put(key, [wrong[damage]])
    report = fetch(inventory, [store, good], "orders", tmp_path / "out", Silent())
    assert [(fault.path, fault.store) for fault in report.faults] == [("d3/f3", "cloud")]
    assert report.faults[0].kind == ("missing" if damage == "deleted" else "mismatched")
    assert files_in(tmp_path / "out") == FILES
    alone = fetch(inventory, [store], "orders", tmp_path / "alone", Silent())
    assert alone.unavailable == ["d3/f3"]
    assert not (tmp_path / "alone" / "d3" / "f3").exists()
    copied = copy_objects(inventory, [good], store, "orders", Silent())
    assert (copied.copied, copied.unavailable) == (1, ()), "only the damaged one"
    assert fetch(inventory, [store], "orders", tmp_path / "healed", Silent()).unavailable == []


def damaged(data, how, chance):
    """What is left of an object; None if nothing is."""
    at = chance.randrange(len(data))
    return {
        "flip": data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :],
        "cut": data[:at], "grow": data + chance.randbytes(1 + at), "empty": b"", "delete": None,
        "zeros": bytes(len(data)),
    }[how]  # fmt: skip


@pytest.mark.parametrize("damages", [40, pytest.param(1000, marks=pytest.mark.long)])
def test_random_damages_of_a_bucket_are_all_found_and_nothing_else(s3, place, tmp_path, damages):
    chance = random.Random(damages)
    (tmp_path / "many").mkdir()
    contents = [chance.randbytes(chance.randint(1, 4000)) for _ in range(damages * 3 // 2)]
    for number, data in enumerate(contents):
        (tmp_path / "many" / f"{number:04}.bin").write_bytes(data)
    store = open_store("cloud", f"s3://{place}", endpoint_url=s3.endpoint_url)
    inventory = ingest(scan([tmp_path / "many"]).files, [store], "orders", Silent())
    expected = {
        file.md5.hex(): Expected(file.md5.hex(), file.size_bytes, file.sha256, file.path)
        for file in inventory.files
    }
    left = {}
    for data in chance.sample(contents, damages):
        name = hashlib.md5(data).hexdigest()
        how = chance.choice(["flip", "flip", "cut", "grow", "empty", "delete", "zeros"])
        left[name] = damaged(data, how, chance)
    bucket, _, prefix = place.partition("/")
    client = s3.client()
    for name, data in left.items():
        key = f"{prefix}/{object_key('orders', name)}"
        if data is None:
            client.delete_object(Bucket=bucket, Key=key)
        else:
            client.put_object(Bucket=bucket, Key=key, Body=data)
    gone = {name for name, data in left.items() if data is None}
    other = {
        name for name, data in left.items() if data is not None and hashlib.md5(data).hexdigest() != name
    }
    found = check_deep(list(expected.values()), store, "orders", Silent())
    assert (found.missing, set(found.wrong)) == (gone, other)
    assert found.whole == set(expected) - gone - other
    report = fetch(inventory, [store], "orders", tmp_path / "out", Silent())
    assert sorted(report.unavailable) == sorted(expected[name].path for name in gone | other)
    # The quick way knows the sizes, and never calls whole what it has not read.
    quick = check_quick(expected.values(), listing(store, "orders"))
    check_stated(expected, store, "orders", quick, Silent())
    sized = {name for name in other if len(left[name]) != expected[name].size_bytes}
    assert (quick.missing, quick.whole) == (gone, set())
    assert sized <= set(quick.wrong) <= other


def test_never_more_connections_than_asked(s3, place, source, tmp_path):
    with FaultProxy(s3.endpoint_url) as proxy:
        store = through(proxy, place, connections=6)
        inventory = ingest(scan([source]).files, [store], "orders", Silent())
        put_bytes(b"one more", [store], "orders")
        fetch(inventory, [store], "orders", tmp_path / "out", Silent())
        assert 2 < proxy.most_open <= 6


def test_what_is_there_is_not_sent_again(s3, place, source):
    with FaultProxy(s3.endpoint_url) as proxy:
        store = through(proxy, place)
        ingest(scan([source]).files, [store], "orders", Silent())
        first, proxy.requests = proxy.requests, []
        ingest(scan([source]).files, [store], "orders", Silent())
        objects = [path for method, path in first if method == "PUT" and "/files/md5/" in path]
        assert len(objects) == len(set(FILES.values()))
        assert not [path for method, path in proxy.requests if "/files/md5/" in path and method != "GET"]
        assert len(proxy.requests) < 6, "one listing answers for all"


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (
            (400, "AuthorizationHeaderMalformed"),
            StoreUnreachable,
            "lies in the region eu-central-1, not in us-",
        ),
        ((301, "PermanentRedirect"), StoreUnreachable, "lies in another region, not in us-east-1"),
        ((403, "RequestTimeTooSkewed"), AccessDenied, "the clock of this machine"),
        ((400, "ExpiredToken"), AccessDenied, "the credentials have expired"),
        ((403, "AccessDenied"), AccessDenied, "no right to read it"),
        ((401, "Unauthorized"), AccessDenied, "the credentials are wrong or missing"),
        ((404, "NoSuchBucket"), StoreMissing, "there is no bucket 'test-bucket'"),
        ((503, "SlowDown"), StoreUnreachable, "the server fails (503 SlowDown), after several attempts"),
        ((507, "InsufficientStorage"), NoSpace, "is full"),
        ("reset", StoreUnreachable, "the connection broke"),
    ],
    ids=str,
)
def test_each_refusal_has_a_sentence_of_its_own(s3, place, answer, kind, said):
    with FaultProxy(s3.endpoint_url, lambda method, path, number: answer) as proxy:
        with pytest.raises(kind) as caught:
            through(proxy, place).check()
        assert said in caught.value.what
        assert caught.value.next_step
        assert len(f"{caught.value.what}{caught.value.next_step}") < 500, "no dump of the request"
        assert not any(secret in caught.value.what for _, secret, _ in IDENTITIES.values())


@pytest.mark.parametrize(
    ("who", "action", "said"),
    [
        ("reader", lambda store: store.check(writable=True), "no right to write to it"),
        ("reader", lambda store: store.put("orders/x", [b"x"]), "no right to write orders/x"),
        ("blind", lambda store: list(store.list("orders")), "no right to list orders"),
        ("blind", lambda store: store.check(writable=True), "no right to list it"),
        ("stranger", lambda store: store.check(), "no right to read it"),
    ],
)
def test_a_missing_right_is_named(s3, place, monkeypatch, who, action, said):
    for name, value in credentials(who).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(AccessDenied, match=said):
        action(through(s3, place))


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"AWS_ACCESS_KEY_ID": "nobody"}, "does not know the key id"),
        ({"AWS_SECRET_ACCESS_KEY": "hunter2"}, "the secret does not belong to the key id"),
        ({"AWS_SECRET_ACCESS_KEY": ""}, "credentials"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "HOME": "/nowhere"}, "no credentials"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_PROFILE": "no-such-profile"}, "no-such-profile"),
    ],
)
def test_wrong_credentials_are_named_and_not_shown(s3, place, monkeypatch, environment, said):
    for name, value in environment.items():
        if value:
            monkeypatch.setenv(name, value)
        else:
            monkeypatch.delenv(name)
    _of_profile.cache_clear()
    with pytest.raises(AccessDenied, match=said) as caught:
        through(s3, place).check()
    assert "hunter2" not in caught.value.what + caught.value.next_step
    _of_profile.cache_clear()


def test_a_profile_gives_credentials_and_region(s3, place, monkeypatch, tmp_path):
    key, secret, _ = IDENTITIES["admin"]
    text = f"[team]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\nregion = eu-1\n"
    (tmp_path / "credentials").write_text(text)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of another account")
    store = open_store("cloud", f"s3://{place}", endpoint_url=s3.endpoint_url, profile="team")
    assert store.check(keep="vision", writable=True).keep == "vision"
    assert store._client.config["region"] == "eu-1"


def test_a_server_that_is_not_there_is_said_soon(place):
    began = time.monotonic()
    for endpoint, said in (
        ("http://127.0.0.1:9", "nothing answers at 127.0.0.1:9"),
        ("http://no-such-host.invalid", "the name no-such-host.invalid cannot be resolved"),
    ):
        with pytest.raises(StoreUnreachable, match=said):
            open_store("cloud", f"s3://{place}", endpoint_url=endpoint).check()
    assert time.monotonic() - began < PATIENCE_S


class Halfway(Silent):
    """Calls ``act`` when so many files are done."""

    def __init__(self, files, act):
        self.left, self.act = files, act

    def advance(self, amount=1, *, size_bytes=0):
        self.left -= amount
        if self.left <= 0 and self.act:
            act, self.act = self.act, None
            act()


def test_a_server_killed_and_restarted_in_the_middle_costs_nothing(s3, source, tmp_path):
    server = ObjectServer(tmp_path / "server")
    server.start()
    try:
        place = server.place()
        create_store("cloud", f"s3://{place}", keep="vision", endpoint_url=server.endpoint_url)
        store = through(server, place, connections=2, patience=Patience(connect_s=2, stall_s=10))

        restarted = []

        def restart():
            server.kill()
            restarted.append(threading.Timer(0.5, server.start))
            restarted[-1].start()

        files = scan([source]).files

        def until_done(action):
            """The same command again, as a person would, once the server is there again."""
            for _ in range(3):
                try:
                    return action()
                except StoreUnreachable:
                    restarted[-1].join()
            return action()

        inventory = until_done(lambda: ingest(files, [store], "orders", Halfway(20, restart)))
        restarted[-1].join()
        report = until_done(
            lambda: fetch(inventory, [store], "orders", tmp_path / "out", Halfway(20, restart))
        )
        restarted[-1].join()
        if report.unavailable:  # the server lost what it had said it kept: named, and sent again
            ingest(files, [store], "orders", Silent())
            report = fetch(inventory, [store], "orders", tmp_path / "out", Silent())
        assert report.unavailable == []
        assert files_in(tmp_path / "out") == FILES
    finally:
        server.kill()


INGEST = """
import sys
from pathlib import Path
from datakeep.core.progress import Silent
from datakeep.store.ingest import ingest
from datakeep.store.opening import open_store
from datakeep.store.scan import scan
store = open_store("cloud", f"s3://{sys.argv[2]}", endpoint_url=sys.argv[3])
print("go", flush=True)
ingest(scan([Path(sys.argv[1])]).files, [store], "orders", Silent())
print("done", flush=True)
"""


def test_a_killed_ingest_leaves_nothing_wrong_and_goes_on(s3, place, source, tmp_path):
    chance = random.Random(5)
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", INGEST, source, place, s3.endpoint_url], stdout=subprocess.PIPE,
            env=os.environ | credentials(),
        )  # fmt: skip
        assert process.stdout.readline() == b"go\n"
        time.sleep(chance.random() * 0.4)
        process.send_signal(signal.SIGKILL)
        process.wait()
    store = through(s3, place)
    whole = {object_key("orders", hashlib.md5(data).hexdigest()): len(data) for data in FILES.values()}
    left = dict(store.list("orders"))
    assert left.items() <= whole.items(), "whole objects only"
    inventory = ingest(scan([source]).files, [store], "orders", Silent())
    assert dict(store.list("orders")) == whole
    assert fetch(inventory, [store], "orders", tmp_path / "out", Silent()).unavailable == []
    assert files_in(tmp_path / "out") == FILES


def test_a_large_file_that_changes_between_its_two_reads_is_not_registered(s3, place, tmp_path):
    big = tmp_path / "source" / "big.bin"
    big.parent.mkdir()
    big.write_bytes(bytes(40_000_000))
    before = big.stat()

    def change(method, path, number):
        if method == "POST" and "uploads" in path:  # the upload begins: the first read is over
            with big.open("r+b") as file:
                file.seek(39_000_000)
                file.write(b"x")
            os.utime(big, ns=(before.st_atime_ns, before.st_mtime_ns))

    with FaultProxy(s3.endpoint_url, change) as proxy:
        store = through(proxy, place)
        with pytest.raises(DatakeepError, match="changed while it was read"):
            ingest(scan([big.parent]).files, [store], "orders", Silent())
    assert list(through(s3, place).list("orders")) == [], "nothing of it lies there"
