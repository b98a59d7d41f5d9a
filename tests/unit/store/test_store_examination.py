"""How buckets and folders are set up: a real S3 server where it knows the setting, botocore's Stubber elsewhere."""

from datetime import UTC, datetime, timedelta

import boto3
import pytest
from botocore.stub import Stubber
from object_server import credentials

from datakeep.core.errors import StoreUnreachable
from datakeep.store import folder_examination
from datakeep.store.bucket_examination import client_of, examine, locked
from datakeep.store.examination import Outcome
from datakeep.store.folder import FolderStore
from datakeep.store.interface import Marker
from datakeep.store.location import Location, locate
from datakeep.store.opening import open_store

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
PLACE = Location("s3", "team", "data/keep")


def found(checks):
    return {check.name: check for check in checks}


def test_a_real_server(s3, monkeypatch):
    s3.client().create_bucket(Bucket="examined")
    location = locate("main", "s3://examined/keep", s3.endpoint_url, "us-east-1")
    store = open_store("main", "s3://examined/keep", endpoint_url=s3.endpoint_url, region="us-east-1")
    store.create(Marker(keep="vision", created=NOW))
    store.put("orders/files/md5/ab/c", [b"x"])
    before = sorted(store.list(""))
    off = found(store.examine())
    assert off["versioning"].outcome is Outcome.BAD
    assert "put-bucket-versioning --bucket examined" in off["versioning"].advice
    assert off["deletion"].outcome is Outcome.BAD
    assert off["clock"].outcome is Outcome.GOOD
    assert off["life cycle"].outcome is Outcome.GOOD
    s3.client().put_bucket_versioning(Bucket="examined", VersioningConfiguration={"Status": "Enabled"})
    rule = {"ID": "tidy", "Status": "Enabled", "Filter": {"Prefix": "keep/"}, "Expiration": {"Days": 30}}
    s3.client().put_bucket_lifecycle_configuration(
        Bucket="examined", LifecycleConfiguration={"Rules": [rule]}
    )
    on = found(store.examine())
    assert on["versioning"].outcome is Outcome.GOOD
    assert (on["life cycle"].outcome, "after 30 days" in on["life cycle"].what) == (Outcome.BAD, True)
    late = found(
        examine(location, client_of(location, None), now=lambda: datetime.now(UTC) + timedelta(hours=1))
    )
    assert late["clock"].outcome is Outcome.BAD
    assert sorted(store.list("")) == before, "nothing was written or deleted"
    listed = s3.client().list_object_versions(Bucket="examined")
    assert not listed.get("DeleteMarkers"), "the marker of the trial is gone too"
    for name, value in credentials("reader").items():
        monkeypatch.setenv(name, value)
    assert found(store.examine())["deletion"].outcome is Outcome.GOOD


def test_a_server_that_is_down(monkeypatch):
    for name, value in credentials().items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StoreUnreachable):
        open_store("main", "s3://bucket/keep", endpoint_url="http://127.0.0.1:9").examine()


@pytest.fixture
def stub():
    client = boto3.client("s3", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    with Stubber(client) as stubber:
        yield stubber


HEAD = {"ResponseMetadata": {"HTTPHeaders": {"date": "Tue, 24 Nov 2026 12:00:00 GMT"}}}
ANSWERS = {
    "get_bucket_versioning": {"Status": "Enabled"},
    "get_object_lock_configuration": {
        "ObjectLockConfiguration": {
            "ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 90}},
        }
    },
    "get_bucket_encryption": {
        "ServerSideEncryptionConfiguration": {
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]
        }
    },
    "get_public_access_block": {
        "PublicAccessBlockConfiguration": {
            "BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": True,
            "RestrictPublicBuckets": True,
        }
    },
    "get_bucket_lifecycle_configuration": {"Rules": []},
    "delete_object": "AccessDenied",
    "head_bucket": HEAD,
}  # fmt: skip


def asked(stub, **changed):
    """The checks of a bucket that answers as ``ANSWERS``, but for ``changed``: answers, or the codes of errors."""
    for call, usual in ANSWERS.items():
        answers = changed.get(call, usual)
        for answer in answers if isinstance(answers, list) else [answers]:
            name, given = answer if isinstance(answer, tuple) else (call, answer)
            if isinstance(given, str):
                stub.add_client_error(name, given, http_status_code=403 if "Denied" in given else 400)
            else:
                stub.add_response(name, given)
    checks = found(examine(PLACE, stub.client, now=lambda: NOW))
    stub.assert_no_pending_responses()
    return checks


def test_a_bucket_in_order_is_good_in_all(stub):
    assert {check.outcome for check in asked(stub).values()} == {Outcome.GOOD}


@pytest.mark.parametrize(
    ("name", "call", "answer"),
    [
        ("versioning", "get_bucket_versioning", {"Status": "Suspended"}),
        ("object lock", "get_object_lock_configuration", "ObjectLockConfigurationNotFoundError"),
        ("object lock", "get_object_lock_configuration", {"ObjectLockConfiguration": {}}),
        ("encryption", "get_bucket_encryption", "ServerSideEncryptionConfigurationNotFoundError"),
        ("deletion", "delete_object", [{"DeleteMarker": True, "VersionId": "1"}, {}]),
        ("clock", "head_bucket", {"ResponseMetadata": {"HTTPHeaders": {"date": "Tue, 24 Nov 2026 11:50:00 GMT"}}}),
    ],
)  # fmt: skip
def test_what_is_not_good_says_what_to_do(stub, name, call, answer):
    check = asked(stub, **{call: answer})[name]
    assert check.outcome is Outcome.BAD
    assert check.advice


POLICY = ("get_bucket_policy_status", {"PolicyStatus": {"IsPublic": True}})
CLOSED = ("get_bucket_policy_status", "NoSuchBucketPolicy")
EVERYBODY = {"Grantee": {"Type": "Group", "URI": "http://acs.amazonaws.com/groups/global/AllUsers"}}
NONE = "NoSuchPublicAccessBlockConfiguration"


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([NONE, POLICY], "its policy lets everybody in"),
        ([NONE, CLOSED, ("get_bucket_acl", {"Grants": [EVERYBODY]})], "its access list lets everybody in"),
        ([NONE, CLOSED, ("get_bucket_acl", {"Grants": []})], "nothing forbids"),
    ],
)
def test_public_access(stub, answers, words):
    check = asked(stub, get_public_access_block=answers)["public access"]
    assert (check.outcome, words in check.what) == (Outcome.BAD, True)


def rule(**fields):
    return {"Rules": [{"ID": "r", "Status": "Enabled", "Expiration": {"Days": 1}, "Filter": {}, **fields}]}


@pytest.mark.parametrize(
    ("rules", "good"),
    [
        (rule(), False),
        (rule(Filter={"Prefix": "data/"}), False),
        (rule(Filter={"Prefix": "data/keep/orders/"}), False),
        (rule(Filter={"And": {"Prefix": "data/", "ObjectSizeGreaterThan": 9}}), False),
        (rule(Expiration={}, Transitions=[{"Days": 1, "StorageClass": "GLACIER"}]), False),
        (rule(Filter={"Prefix": "logs/"}), True),
        (rule(Filter={"Prefix": "data/keep-2/"}), True),
        (rule(Status="Disabled"), True),
        (rule(Filter={"Tag": {"Key": "k", "Value": "v"}}), True),
        (rule(Expiration={}, AbortIncompleteMultipartUpload={"DaysAfterInitiation": 3}), True),
        ("NoSuchLifecycleConfiguration", True),
    ],
)
def test_life_cycle_rules(stub, rules, good):
    check = asked(stub, get_bucket_lifecycle_configuration=rules)["life cycle"]
    assert check.outcome is (Outcome.GOOD if good else Outcome.BAD), check


def test_what_cannot_be_seen_is_said_to_be_so(stub):
    checks = asked(
        stub,
        get_bucket_versioning="AccessDenied",
        get_object_lock_configuration="NotImplemented",
        get_bucket_encryption="InternalError",
    )
    assert checks["versioning"].outcome is Outcome.FORBIDDEN
    assert checks["object lock"].outcome is Outcome.UNSUPPORTED
    assert checks["encryption"].outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("url", ["gs://bucket/keep", "az://bucket/keep"])
def test_other_providers_are_not_looked_at_and_that_is_said(url):
    assert {check.outcome for check in open_store("main", url).examine()} == {Outcome.UNKNOWN}


def test_a_folder_that_others_can_write(tmp_path):
    store = FolderStore("main", tmp_path / "data")
    store.create(Marker(keep="vision", created=NOW))
    store.put("orders/files/md5/ab/c", [b"x"])
    (store.root / "link").symlink_to("orders")
    assert found(store.examine())["rights"].outcome is Outcome.GOOD
    store.path_of("orders/files/md5/ab/c").chmod(0o666)
    check = found(store.examine())["rights"]
    assert (check.outcome, "1 files" in check.what, "orders/files" in check.what) == (Outcome.BAD, True, True)


@pytest.mark.parametrize(
    ("kind", "removable", "outcome"),
    [
        ("ext4", "0", Outcome.GOOD),
        ("ext4", "1", Outcome.BAD),
        ("nfs4", None, Outcome.GOOD),
        ("tmpfs", None, Outcome.BAD),
        ("overlay", None, Outcome.BAD),
        (None, None, Outcome.UNKNOWN),
    ],
)
def test_mounts(tmp_path, monkeypatch, kind, removable, outcome):
    """The kernel's own lists, as of other machines."""
    monkeypatch.setattr(folder_examination, "_file_system", lambda number, mounts: kind)
    monkeypatch.setattr(folder_examination, "_is_removable", lambda number, devices: removable == "1")
    assert found(folder_examination.examine(tmp_path))["mount"].outcome is outcome


def test_the_kernels_lists_are_read(tmp_path):
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "25 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 25 0:44 / /mnt/my\\040nas rw shared:1 - nfs4 nas:/x rw\n"
    )
    assert folder_examination._file_system("0:44", mounts) == "nfs4"
    assert folder_examination._file_system("9:9", mounts) is None
    assert folder_examination._file_system("9:9", tmp_path / "absent") is None
    disk = tmp_path / "sda" / "sda1"
    disk.mkdir(parents=True)
    (tmp_path / "sda" / "removable").write_text("1\n")
    (tmp_path / "8:1").symlink_to(disk)
    assert folder_examination._is_removable("8:1", tmp_path)


LOCKED = {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled"}}


@pytest.mark.parametrize(
    ("head", "is_held"),
    [
        ({"ObjectLockRetainUntilDate": datetime(2999, 1, 1, tzinfo=UTC)}, True),
        ({"ObjectLockRetainUntilDate": datetime(2020, 1, 1, tzinfo=UTC)}, False),
        ({"ObjectLockLegalHoldStatus": "ON"}, True),
        ({}, False),
    ],
)
def test_an_object_under_lock_is_known(stub, head, is_held):
    stub.add_response("get_object_lock_configuration", LOCKED, {"Bucket": "team"})
    stub.add_response("head_object", head, {"Bucket": "team", "Key": "data/keep/orders/x"})
    assert locked(PLACE, stub.client, ["orders/x"]) == ({"orders/x"} if is_held else set())


def test_a_bucket_without_locks_is_not_asked_for_each_object(stub):
    stub.add_client_error("get_object_lock_configuration", "ObjectLockConfigurationNotFoundError")
    assert locked(PLACE, stub.client, ["orders/x"]) == set()
