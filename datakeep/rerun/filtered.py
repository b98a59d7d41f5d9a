"""Becomes a program whose openings are asked of a listener first; :mod:`datakeep.rerun.attendant` starts it.

It is started with the interpreter's ``-I -S``, behind strace and in the training's own folder, with the training's
own variables. As nobody but the one whom it descends from may read its memory, that one has to be the listener.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import suppress

#: What is opened for the listener to hear, and how it answers.
PROBE, HEARD, UNHEARD = "/dev/null", b"+", b"-"
#: How this ends if nobody listens: nothing was run then.
NOT_BEGUN = 123
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126
#: What Python ignores, and other programs expect to die of.
_OF_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)
_ARGUMENTS_AT = b"--"


def main(channel: int) -> int:
    """Hands the descriptor of who answers to the other end of the socket ``channel``, and becomes the program."""
    from datakeep.rerun import seccomp

    for number in _OF_PYTHON:
        signal.signal(number, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # As they came: Python may have changed its own, and may know no encoding for them.
    argv = _words("cmdline")
    argv = argv[argv.index(_ARGUMENTS_AT) + 1 :]
    environment = dict(word.partition(b"=")[::2] for word in _words("environ") if b"=" in word[1:])
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, channel) as other:
        try:
            listener = seccomp.install()
        except OSError:
            return NOT_BEGUN
        socket.send_fds(other, [b"."], [listener])
        os.close(listener)
        with suppress(OSError):
            os.close(os.open(PROBE, os.O_RDONLY))
        if other.recv(1) != HEARD:
            return NOT_BEGUN
    try:
        os.execve(argv[0], argv, environment)  # noqa: S606  no shell is the point
    except OSError as error:
        os.write(2, b"%s: %s\n" % (argv[0], (error.strerror or "").encode()))
        return _NOT_EXECUTABLE if isinstance(error, PermissionError) else _NOT_FOUND


def _words(of: str) -> list[bytes]:
    with open(f"/proc/self/{of}", "rb") as source:
        return source.read().removesuffix(b"\0").split(b"\0")


if __name__ == "__main__":
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    os._exit(main(int(sys.argv[1])))
