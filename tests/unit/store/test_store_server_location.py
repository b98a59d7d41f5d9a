import re
import subprocess
import sys

import pytest

from datakeep.core.errors import SecretFound, Unsupported, UsageError
from datakeep.store import library
from datakeep.store.file_server import PackageMissing
from datakeep.store.opening import create_store, open_store
from datakeep.store.server_location import KINDS, locate_server
from datakeep.store.verified import usable


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ssh://", "names no host"),
        ("ssh:///srv/keep", "names no host"),
        ("webdavs://host:port/keep", "names no host"),
        ("ssh://host:99999/keep", "there is no port 99999"),
        ("ssh://ai ko@host/keep", "its user's name cannot be one"),
        ("ssh://host/a//b", "an empty part"),
        ("ssh://host/../b", "'..'"),
        ("ssh://host/~/keep", "or '~'"),
        ("webdavs://host/a b", "holds ' '"),
        ("webdavs://host/a%20b", "holds '%'"),
        ("webdavs://host/keep?endpoint_url=https://other", "holds '?'"),
        ("ssh://host/keep#x", "holds '#'"),
        ("oss://", "names no bucket"),
    ],
)
def test_a_typo_in_a_servers_url_is_named(url, said):
    with pytest.raises(UsageError, match=re.escape(said)) as caught:
        open_store("main", url)
    assert caught.value.next_step


@pytest.mark.parametrize(
    ("url", "said", "next_step"),
    [
        ("shh://host/keep", "did you mean ssh://?", "ssh://"),
        ("sftp://host/keep", "did you mean ssh://?", "ssh://"),
        ("dav://host/keep", "did you mean webdav://?", "webdav://"),
        ("webdavss://host/keep", "did you mean webdavs://?", "webdavs://"),
        ("ss3://bucket/keep", "did you mean s3://?", "s3://"),
        ("warp://host/keep", "knows warp stores", "hdfs://"),
        ("nas:/srv/keep", "looks like a host", "ssh://nas/srv/keep"),
    ],
)
def test_a_scheme_that_nobody_knows_is_guessed(url, said, next_step):
    with pytest.raises(Unsupported, match=re.escape(said)) as caught:
        open_store("main", url)
    assert next_step in caught.value.next_step


@pytest.mark.parametrize(
    "url", ["ssh://aiko:hunter2@host/x", "webdavs://aiko:hunter2@host/x", "https://a:hunter2@h/x"]
)
def test_a_password_in_a_servers_url_is_refused_and_not_shown(url):
    with pytest.raises(SecretFound) as caught:
        open_store("main", url)
    assert "hunter2" not in f"{caught.value.what}{caught.value.next_step}"


def test_one_place_has_one_spelling():
    place = locate_server("main", "SSH://aiko@NAS:22/srv/keep/")
    assert (place.url, place.words) == ("ssh://aiko@NAS/srv/keep", ("SSH", "nas:22", "srv", "keep"))
    assert locate_server("main", "ssh://nas/srv/keep").words == place.words
    assert locate_server("main", "ssh://nas:2222/srv/keep").words != place.words
    plain, safe = (locate_server("main", f"{scheme}://h:8443/x").words for scheme in ("webdav", "webdavs"))
    assert plain == safe


def test_dvc_is_told_the_user_where_it_looks_for_it():
    assert open_store("main", "ssh://aiko@nas:2222/srv").dvc_remote("orders") == {
        "url": "ssh://aiko@nas:2222/srv/orders"
    }
    assert open_store("main", "webdavs://aiko@h/x").dvc_remote("o") == {
        "url": "webdavs://h/x/o",
        "user": "aiko",
    }
    assert open_store("main", "webdavs://h").dvc_remote("o") == {"url": "webdavs://h/o"}


def test_a_server_has_no_endpoint_and_no_region():
    with pytest.raises(UsageError, match="is no bucket; it has no endpoint_url"):
        open_store("main", "ssh://nas/srv", endpoint_url="https://other")


@pytest.mark.parametrize("scheme", sorted(KINDS))
def test_a_package_that_is_not_installed_is_named(scheme, monkeypatch, tmp_path):
    monkeypatch.setattr(library.importlib.util, "find_spec", lambda name: None)
    store = open_store("main", f"{scheme}://host/keep")
    assert store.dvc_remote("orders") == {"url": f"{scheme}://host/keep/orders"}
    with pytest.raises(PackageMissing, match=f"needs the Python package {KINDS[scheme].package}") as caught:
        store.check()
    extra = {"ssh": "datakeep[ssh]", "webdav": "datakeep[webdav]", "webdavs": "datakeep[webdav]"}
    assert caught.value.next_step == f"pip install '{extra.get(scheme, KINDS[scheme].package)}'"
    assert caught.value.exit_code == 25
    other = create_store("nas", str(tmp_path / "nas"), keep="vision")
    able, down = usable([store, other])
    assert (able, list(down)) == ([other], ["main"])


def test_every_kind_is_one_of_dvcs():
    from dvc.fs import registry

    assert set(KINDS) | {"s3", "gs", "azure", "local", "memory", "dvc", "git"} == set(registry)


def test_nothing_of_dvc_is_loaded_before_a_store_is_used():
    code = (
        "import sys; from datakeep.store.opening import open_store; open_store('a', '/tmp/x'); "
        "open_store('b', 'ssh://h/x').dvc_remote('o'); print([m for m in sys.modules if m.split('.')[0] in "
        "('dvc', 'dvc_objects', 'fsspec', 'asyncssh', 'httpx')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
