import json

import pytest

from datakeep.core.errors import HostileRepository, InvalidFile, Unsupported
from datakeep.store.dvc_format import (
    Pointer,
    dvc_config,
    object_key,
    parse_pointer_file,
    parse_tree_object,
    pointer_file,
)
from datakeep.store.opening import open_store

MD5 = "0cc175b9c0f1b6a831c399e269772661"


def test_a_pointer_is_read_as_it_was_written():
    text = pointer_file("data", f"{MD5}.dir", 12, 3)
    assert parse_pointer_file(text, what="data.dvc") == Pointer(f"{MD5}.dir", 12, 3, "data")
    single = pointer_file("inventory.parquet", MD5, 0)
    assert parse_pointer_file(single, what="it") == Pointer(MD5, 0, None, "inventory.parquet")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("outs: [", InvalidFile),
        ("outs: []", InvalidFile),
        ("outs: 3", InvalidFile),
        (f"outs: [{{md5: {MD5}, hash: md5, path: a}}, {{md5: {MD5}, hash: md5, path: b}}]", InvalidFile),
        ("outs: [{md5: ../../x, hash: md5, path: a}]", InvalidFile),
        (f"outs: [{{md5: {MD5}, hash: md5}}]", InvalidFile),
        (f"outs: [{{md5: {MD5}, hash: md5, path: a, size: many}}]", InvalidFile),
        (f"outs: [{{md5: {MD5}, hash: md5, path: a, size: -1}}]", InvalidFile),
        (f"outs: [{{md5: {MD5}, path: a}}]", Unsupported),
        (f"outs: [{{md5: {MD5}, hash: md5, path: ../../x}}]", HostileRepository),
        (f"outs: [{{md5: {MD5}, hash: md5, path: .git/hooks/x}}]", HostileRepository),
    ],
)
def test_a_bad_pointer_is_refused(text, error):
    with pytest.raises(error, match=r"data\.dvc of orders@v1"):
        parse_pointer_file(text, what="data.dvc of orders@v1")


@pytest.mark.parametrize(
    "path", ["../../x", "/etc/cron.d/x", ".git/hooks/post-checkout", "a/../../b", "a\0b"]
)
def test_a_tree_that_leads_out_is_refused(path):
    hostile = json.dumps([{"md5": MD5, "relpath": "fine"}, {"md5": MD5, "relpath": path}]).encode()
    with pytest.raises(HostileRepository, match="the file list names"):
        parse_tree_object(hostile, what="the file list")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"{}",
        b"[1]",
        b'[{"md5": "x", "relpath": "a"}]',
        b'[{"relpath": "a"}]',
        b'[{"md5": "%b"}]' % MD5.encode(),
        b"[" * 100_000,
        b'[{"md5": "%b", "relpath": "a"}, {"md5": "%b", "relpath": "a"}]' % (MD5.encode(), MD5.encode()),
    ],
)
def test_a_damaged_tree_is_refused(data):
    with pytest.raises(InvalidFile, match="the file list cannot be read"):
        parse_tree_object(data, what="the file list")


@pytest.mark.parametrize("name", ["", "xyz", MD5.upper(), f"{MD5}.exe", f"../{MD5}", f"{MD5}\n"])
def test_only_the_name_of_an_object_becomes_a_key(name):
    with pytest.raises(ValueError, match="not the name"):
        object_key("orders", name)


def test_what_dvc_could_not_read_is_refused():
    with pytest.raises(Unsupported, match="cannot be written"):
        dvc_config([open_store("main", "/mnt/a'b\"c")], "orders")
    with pytest.raises(Unsupported, match="DVC remote"):
        dvc_config([open_store('ma"in', "/mnt/a")], "orders")


def test_a_bucket_is_written_with_its_server_and_region():
    url = "s3://data/team/keep?endpoint_url=https://s3.corp.example&region=eu-1"
    stores = [open_store("main", url), open_store("nas", "/mnt/keep"), open_store("cloud", "gs://data")]
    assert dvc_config(stores, "orders").splitlines()[3:] == [
        "['remote \"main\"']",
        "    url = s3://data/team/keep/orders",
        "    endpointurl = https://s3.corp.example",
        "    region = eu-1",
        "['remote \"nas\"']",
        "    url = /mnt/keep/orders",
        "['remote \"cloud\"']",
        "    url = gs://data/orders",
    ]
    azure = open_store("blobs", "az://box/keep", endpoint_url="https://team.blob.core.windows.net")
    assert "url = azure://box/keep/orders\n    account_name = team\n" in dvc_config([azure], "orders")
