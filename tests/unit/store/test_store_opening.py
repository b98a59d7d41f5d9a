import pytest

from datakeep.core.errors import AlreadyExists, StoreMissing, Unsupported, UsageError
from datakeep.store.opening import create_store, folder_of, open_store


@pytest.mark.parametrize(
    "url", ["s3://bucket/x", "gs://bucket/x", "az://box/x", "ssh://host/x", "https://u:hunter2@host/x"]
)
def test_other_kinds_are_named_and_no_password_is_shown(url):
    with pytest.raises(Unsupported, match="this version keeps bytes in folders") as caught:
        open_store("main", url)
    assert "hunter2" not in caught.value.what


def test_an_endpoint_is_not_ignored(tmp_path):
    with pytest.raises(Unsupported):
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
