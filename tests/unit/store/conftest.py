import contextlib
import os

import pytest


@pytest.fixture
def unprivileged(tmp_path):
    """A context in which this process has no more rights than anybody: tests often run as root."""

    @contextlib.contextmanager
    def anybody():
        if os.geteuid() != 0:
            yield
            return
        for folder in (tmp_path, *tmp_path.parents):
            if folder.stat().st_mode & 0o005 != 0o005:
                folder.chmod(folder.stat().st_mode | 0o055)
        os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(0)

    return anybody
