"""An environment is rebuilt from its lock by the real uv, from a package index that the test serves."""

from __future__ import annotations

import base64
import functools
import hashlib
import http.server
import pickle
import re
import shutil
import subprocess
import tarfile
import threading
import zipfile
from types import SimpleNamespace

import pytest

from datakeep.core.errors import NoSpace, Unsupported
from datakeep.core.progress import Silent
from datakeep.formats.manifest import Environment
from datakeep.rerun import environment_faults as faults
from datakeep.rerun import interpreter, sandbox
from datakeep.rerun.environment import rebuild, transport_of

IMAGE = "registry.example/x@sha256:" + "0" * 64


def wheel(folder, name, version, content="x = 1\n"):
    """The smallest wheel (PEP 427)."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": content,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for file, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{file},sha256={digest},{len(text)}\n"
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(file, text)
    return path


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        self.server.asked.append(self.path)


@pytest.fixture
def index(tmp_path):
    """A package index on this machine: two wheels, and a package that is source only."""
    root = tmp_path / "index"
    for name in ("alpha", "beta"):
        (root / "simple" / name).mkdir(parents=True)
        file = wheel(root / "simple" / name, name, "1.0")
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        (file.parent / "index.html").write_text(f'<a href="{file.name}#sha256={digest}">{file.name}</a>')
    (root / "simple" / "gamma").mkdir()
    with tarfile.open(root / "simple" / "gamma" / "gamma-1.0.tar.gz", "w:gz") as archive:
        setup = tmp_path / "setup.py"
        setup.write_text("raise SystemExit('a build ran')")
        archive.add(setup, "gamma-1.0/setup.py")
    (root / "simple" / "gamma" / "index.html").write_text('<a href="gamma-1.0.tar.gz">gamma-1.0.tar.gz</a>')
    handler = functools.partial(Quiet, directory=str(root))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield SimpleNamespace(
        root=root, url=f"http://127.0.0.1:{server.server_port}/simple", asked=server.asked, server=server
    )
    server.shutdown()
    server.server_close()


@pytest.fixture
def locked(tmp_path, index, python):
    """A project with a uv lock, and the same as requirements with hashes."""
    code = tmp_path / "code"
    code.mkdir()
    (code / "pyproject.toml").write_text(
        '[project]\nname = "training"\nversion = "0"\nrequires-python = ">=3.11"\n'
        f'dependencies = ["alpha", "beta"]\n[[tool.uv.index]]\nurl = "{index.url}"\ndefault = true\n'
    )
    uv = interpreter.uv_program()
    run = functools.partial(subprocess.run, check=True, cwd=code, capture_output=True)
    run([uv, "lock", "--python", python.executable, "--cache-dir", tmp_path / "lock-cache"])
    (code / "requirements.in").write_text("alpha\nbeta\n")
    made = ["pip", "compile", "--generate-hashes", "requirements.in", "-o", "requirements.txt"]
    place = ["--default-index", index.url, "--cache-dir", tmp_path / "lock-cache"]
    run([uv, *made, *place, "--python", python.executable])
    return code


@pytest.fixture
def build(tmp_path, locked, index):
    def build(kind="lock", box="bubblewrap", **options):
        name = {"lock": "uv.lock", "requirements": "requirements.txt"}[kind]
        shutil.rmtree(tmp_path / "venv", ignore_errors=True)
        transport = {"UV_DEFAULT_INDEX": index.url, "UV_HTTP_RETRIES": "0", **options.pop("transport", {})}
        return rebuild(
            Environment(**{kind: name}),
            locked,
            tmp_path / "venv",
            sandbox=sandbox.find(box),
            cache=tmp_path / "cache",
            transport=transport,
            progress=Silent(),
            **options,
        )

    return build


@pytest.mark.parametrize("box", ["bubblewrap", "none"])
@pytest.mark.parametrize("kind", ["lock", "requirements"])
def test_a_lock_is_rebuilt_and_counted(build, kind, box, tmp_path, locked, index):
    first = build(kind, box)
    assert first.packages == {"alpha": "1.0", "beta": "1.0"}
    assert (first.installed, first.from_cache) == (2, 0)
    name = "uv.lock" if kind == "lock" else "requirements.txt"
    assert first.lock_sha256 == f"sha256:{hashlib.sha256((locked / name).read_bytes()).hexdigest()}"
    again = build(kind, box)
    assert (again.installed, again.from_cache, again.fresh) == (2, 2, False)
    index.asked.clear()
    fresh = build(kind, box, fresh_packages=True)
    assert (fresh.installed, fresh.from_cache, fresh.fresh) == (2, 0, True)
    assert any(path.endswith(".whl") for path in index.asked)
    assert [path.name for path in tmp_path.glob(".environment-*")] == []


def test_the_code_is_left_as_it_was(build, locked):
    before = sorted(locked.rglob("*"))
    build()
    assert sorted(locked.rglob("*")) == before


def test_passwords_of_the_transport_are_in_no_report_and_no_message(build, index):
    secret = index.url.replace("http://", "http://aiko:hunter2@")
    report = build("requirements", transport={"UV_DEFAULT_INDEX": secret})
    assert report.transport["UV_DEFAULT_INDEX"] == index.url.replace("http://", "http://aiko@")
    assert "hunter2" not in str(report)
    index.server.shutdown()
    index.server.server_close()
    with pytest.raises(faults.EnvironmentFault) as caught:
        build("requirements", transport={"UV_DEFAULT_INDEX": secret}, fresh_packages=True)
    assert "hunter2" not in repr(caught.value) + str(caught.value.things)


def test_only_the_allow_list_is_let_in():
    host = {
        "AWS_SECRET_ACCESS_KEY": "x",
        "HOME": "/home/aiko",
        "UV_CONFIG_FILE": "x",
        "HTTPS_PROXY": "http://p",
        "NO_PROXY": "",
    }
    assert transport_of(host) == {"HTTPS_PROXY": "http://p"}


def test_without_network_the_receiver_acts(build, index):
    index.server.shutdown()
    index.server.server_close()
    with pytest.raises(faults.NetworkNeeded) as caught:
        build()
    assert caught.value.acts == "receiver"
    assert caught.value.things


def test_a_changed_package_is_the_givers(build, index):
    wheel(index.root / "simple" / "alpha", "alpha", "1.0", content="x = 2\n")
    with pytest.raises(faults.PackageChanged) as caught:
        build()
    assert caught.value.acts == "giver"
    assert "alpha" in caught.value.what


def test_a_package_that_is_gone_is_the_givers(build, index):
    shutil.rmtree(index.root / "simple" / "beta")
    with pytest.raises(faults.PackageGone) as caught:
        build("requirements")
    assert caught.value.acts == "giver"


def test_source_only_is_refused_and_not_built(build, index, locked):
    source = index.root / "simple" / "gamma" / "gamma-1.0.tar.gz"
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    (locked / "requirements.txt").write_text(f"gamma==1.0 --hash=sha256:{digest}\n")
    with pytest.raises(faults.WheelMissing) as caught:
        build("requirements")
    assert "--allow-build" in caught.value.next_step
    assert "a build ran" not in str(caught.value.things)


def test_requirements_without_hashes_are_refused(build, locked):
    (locked / "requirements.txt").write_text("alpha==1.0\n")
    with pytest.raises(faults.LockInvalid):
        build("requirements")


@pytest.mark.parametrize("spoil", ["break", "remove", "unproject", "link", "unhash"])
def test_a_lock_that_cannot_be_used(build, locked, spoil, tmp_path):
    lock = locked / "uv.lock"
    if spoil == "break":
        lock.write_text("x")
    elif spoil == "remove":
        lock.unlink()
    elif spoil == "unhash":
        lock.write_text(re.sub(r', hash = "[^"]*"', "", lock.read_text()))
    elif spoil == "unproject":
        (locked / "pyproject.toml").unlink()
    else:
        lock.rename(tmp_path / "uv.lock")
        lock.symlink_to(tmp_path / "uv.lock")
    with pytest.raises(faults.LockInvalid):
        build()


def test_a_python_that_is_not_here_is_named(locked, tmp_path, bubblewrap):
    with pytest.raises(faults.InterpreterMissing, match=r"3\.99") as caught:
        rebuild(
            Environment(lock="uv.lock", python="3.99"),
            locked,
            tmp_path / "venv",
            sandbox=bubblewrap,
            cache=tmp_path / "cache",
            transport={},
            progress=Silent(),
        )
    assert caught.value.acts == "receiver"
    assert "3.99" in caught.value.next_step


def test_an_image_is_not_supported_yet(tmp_path, bubblewrap):
    with pytest.raises(Unsupported):
        rebuild(
            Environment(image=IMAGE),
            tmp_path,
            tmp_path / "venv",
            sandbox=bubblewrap,
            cache=tmp_path / "cache",
            transport={},
            progress=Silent(),
        )


def test_the_version_asked_for_is_the_version_found(python):
    short = ".".join(python.version.split(".")[:2])
    assert interpreter.find(short).version.startswith(f"{short}.")
    assert interpreter.find(python.version) == python


def test_a_full_disk_is_no_fault_of_the_environment():
    assert isinstance(
        faults.classify("error: write failed\n  cause: No space left on device (os error 28)"), NoSpace
    )


def test_an_unknown_failure_keeps_its_evidence_and_crosses_processes():
    error = pickle.loads(pickle.dumps(faults.classify("one\nerror: the moon is wrong\n")))
    assert isinstance(error, faults.RebuildFailed)
    assert "the moon is wrong" in error.what
    assert error.things == ("one", "error: the moon is wrong")
