import re

import pytest

from datakeep.core.errors import AlreadyExists, SecretFound, StoreMissing, Unsupported, UsageError
from datakeep.store.location import Location
from datakeep.store.object_clients import HASTY, connect
from datakeep.store.opening import create_store, folder_of, open_store


@pytest.mark.parametrize(
    "url",
    [
        "https://u:hunter2@host/x",
        "s3://key:hunter2@bucket/x",
        "s3://bucket/x?secret_access_key=hunter2",
        "s3://bucket/x?endpoint_url=https://u:hunter2@host",
    ],
)
def test_a_secret_in_a_url_is_refused_and_not_shown(url):
    with pytest.raises(SecretFound) as caught:
        open_store("main", url)
    assert "hunter2" not in f"{caught.value.what}{caught.value.next_step}{caught.value.things}"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://", "names no bucket"),
        ("s3:/bucket/x", "names no bucket"),
        ("s3:///bucket/x", "names no bucket"),
        ("s3://buc ket/x", "names no bucket"),
        ("s3://bucket/a//b", "empty part"),
        ("s3://bucket/../b", "'..'"),
        ("s3://bucket/x?endpoint=https://host", "unknown parameter 'endpoint'"),
        ("s3://bucket/x?endpoint_url=127.0.0.1:9000", "not the address of a server"),
        ("s3://bucket/x?endpoint_url=https://host/bucket", "not the address of a server"),
    ],
)
def test_a_typo_in_a_buckets_url_is_named(url, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        open_store("main", url)


def test_a_misspelled_scheme_is_guessed():
    with pytest.raises(Unsupported, match="did you mean s3"):
        open_store("main", "ss3://bucket/x")


def test_a_bucket_may_bring_its_server_in_its_url():
    store = open_store("main", "S3://data/team/keep/?endpoint_url=http://127.0.0.1:9000/&region=eu-1")
    assert store.location == Location("s3", "data", "team/keep", "http://127.0.0.1:9000", "eu-1")
    assert store.location.url == "s3://data/team/keep"
    assert open_store("main", "azure://box").location == Location("az", "box", "")


@pytest.mark.parametrize("url", ["gs://data/keep", "az://box/keep"])
def test_other_clouds_are_reached_with_their_own_credentials(url, monkeypatch):
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "team")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")
    monkeypatch.setenv("GOOGLE_SKIP_SIGNATURE", "true")
    store = open_store("main", url)
    client = connect(store.location, patience=HASTY, profile=None)
    assert client.prefix == "keep"


def test_an_endpoint_is_not_ignored(tmp_path):
    with pytest.raises(UsageError, match="is a folder"):
        open_store("main", str(tmp_path), endpoint_url="http://127.0.0.1:9000")


@pytest.mark.parametrize("url", ["relative/folder", "~/data", "file://otherhost/data", "", "file:relative"])
def test_a_store_is_an_absolute_folder_of_this_machine(url):
    with pytest.raises(UsageError, match="not an absolute folder"):
        open_store("main", url)


def test_a_file_url_is_a_folder(tmp_path):
    folder = tmp_path / "a b 日本"
    assert folder_of(folder.as_uri(), name="main") == folder
    create_store("main", folder.as_uri(), keep="vision").check(keep="vision", writable=True)
    assert (folder / "datakeep-store.json").exists()


def test_parents_are_never_made(tmp_path):
    with pytest.raises(StoreMissing, match="is the share mounted") as caught:
        create_store("main", str(tmp_path / "unmounted" / "store"), keep="vision")
    assert "mkdir -p" in caught.value.next_step
    assert not (tmp_path / "unmounted").exists()


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(AlreadyExists):
        create_store("main", str(tmp_path), keep="vision")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
