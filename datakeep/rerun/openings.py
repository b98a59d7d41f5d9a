"""Answers for a training before it opens a file, and writes down which file that is: what seccomp lets it ask.

Who asks is told of the path, and of what it is relative to. Which file the kernel finds there is asked of the kernel,
without opening it. So what is written is what is found an instant before the training finds it. It is written before
the answer is given: when the training has ended, all is there.

A process of the training may serve a file system to another one, and may have to open a file to answer whoever looks
into it, this process too. So looking is done in a thread, and where that takes long another one goes on.

The attendant imports this, started with ``-I -S``: the standard library only.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import socket
import threading
import time
from contextlib import suppress

from datakeep.rerun import filtered
from datakeep.rerun.seccomp import Listener
from datakeep.rerun.thread_paths import AT_FDCWD, Place, found, view

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datakeep.rerun.seccomp import Call

FILE_NAME = "openings"
#: What a record tells: a file was opened for reading, was made, or a process has this current folder.
READ, MADE, FOLDER = b"r", b"m", b"c"
#: The same, of a file that was opened for reading and writing.
READ_WRITE, MADE_READ_WRITE = READ.upper(), MADE.upper()
KINDS = frozenset({READ, MADE, FOLDER, READ_WRITE, MADE_READ_WRITE})
#: How the file begins where nothing is missing in it; until its end is known, and where it is not so, otherwise.
COMPLETE, INCOMPLETE = b"+", b"-"
RECORD_END = b"\0"

_LOW = 0xFFFFFFFF
_HOW_BYTES = 24  # struct open_how of openat2(2), flags first; of fewer the kernel refuses the call
_PATH_BYTES, _PAGE_BYTES, _USUAL_BYTES = 4096, 4096, 256
#: After one of these a process may see other files under the same paths.
_MOVING = frozenset({"chroot", "pivot_root", "setns", "mount", "move_mount"})
#: Looking for a file may take so long until another thread goes on.
_LONG_S = 0.5

_libc = ctypes.CDLL(None, use_errno=True)
_libc.process_vm_readv.restype = ctypes.c_ssize_t


class _Part(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("count", ctypes.c_size_t))


def begin(channel: socket.socket, process: int, file: str) -> Openings | None:
    """Listens to the program that has the other end of ``channel``, and is not begun yet; None if it cannot be done.

    Args:
        channel: Its other end is with :mod:`datakeep.rerun.filtered`.
        process: A pidfd of it.
        file: Where what it opens is to be written.
    """
    waiting = select.poll()
    for number in (channel.fileno(), process):
        waiting.register(number, select.POLLIN)
    if channel.fileno() not in dict(waiting.poll()):
        return None
    _, descriptors, *_ = socket.recv_fds(channel, 1, 1)
    if not descriptors:
        return None
    listener = Listener(descriptors[0])
    try:
        if _hears(listener):
            openings = Openings(listener, file)
            openings.go_on()
            channel.send(filtered.HEARD)
            return openings
    except (OSError, EOFError, RuntimeError):  # the last where no thread can be had
        with suppress(OSError):
            os.unlink(file)
    with suppress(OSError):
        channel.send(filtered.UNHEARD)
    return None


def _hears(listener: Listener) -> bool:
    """Whether it is understood what is asked: the memory of who asks may be closed to us."""
    call = listener.receive()
    if call is None:
        return False
    try:
        return _Memory().asked(call)[1] == filtered.PROBE and bool(os.readlink(f"/proc/{call.thread}/cwd"))
    except OSError:
        return False
    finally:
        listener.let_go(call)


class Openings:
    """What a training opens, from now to its end.

    Args:
        listener: Whom it asks.
        file: Where it is written; made now.
    """

    def __init__(self, listener: Listener, file: str) -> None:
        self._listener = listener
        self._log = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._mark = os.open(file, os.O_WRONLY)
        self._is_whole = True
        self._write(INCOMPLETE)
        self._folders: dict[int, str] = {}
        self._view = view("self")
        self._is_moving = False
        self._current: _Thread | None = None

    def attend(self, process: int) -> None:
        """Answers until the process of this pidfd has ended."""
        ended = select.poll()
        ended.register(process, select.POLLIN)
        while not ended.poll(_LONG_S * 1000):
            if self._current and self._current.is_stuck():
                with suppress(RuntimeError):  # there are too many: the one that is stuck remains
                    self.go_on()
        self._listener.stop()
        if self._current:
            self._current.join()
        if self._is_whole:
            os.pwrite(self._mark, COMPLETE, 0)

    def attend_the_rest(self) -> None:
        """Answers as long as somebody may ask whom the training left; if there is anybody, in another process."""
        if not self._listener.is_in_use() or os.fork():
            return
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        self._listener.resume()
        self._current = _Thread(self, self._listener)
        self._current.answer()
        os._exit(0)

    def go_on(self) -> None:
        """Answers in a thread from now on, in place of the one before.

        Raises:
            RuntimeError: There can be no more threads.
        """
        before, self._current = self._current, _Thread(self, self._listener)
        try:
            self._current.start()
        except RuntimeError:
            self._current = before
            raise

    def is_current(self, thread: _Thread) -> bool:
        """Whether no other one has gone on in its place."""
        return self._current is thread

    def take(self, call: Call, memory: _Memory, now_s: float) -> None:
        """Writes down what comes of a call."""
        try:
            if call.name in _MOVING:
                self._is_moving = True
            else:
                self._opened(call.thread, *memory.asked(call), now_s)
        except (ProcessLookupError, FileNotFoundError):
            pass  # its caller was killed
        except Exception:  # noqa: BLE001  the training must go on, and it is known that something is missing
            self.miss()

    def _opened(self, thread: int, at: int, path: str, flags: int, now_s: float) -> None:
        if flags & (os.O_PATH | os.O_DIRECTORY):  # O_TMPFILE, too
            return
        what = found(self._place(thread, at, path, now_s), flags)
        if what:
            kind = MADE if what.is_made else READ
            if flags & os.O_ACCMODE == os.O_RDWR:
                kind = kind.upper()
            self._write(b"%.6f %s %s" % (now_s, kind, os.fsencode(what.path)))

    def _place(self, thread: int, at: int, path: str, now_s: float) -> Place:
        if thread not in self._folders or (at == AT_FDCWD and path[:1] != "/"):
            folder = os.readlink(f"/proc/{thread}/cwd")
            if self._folders.get(thread) != folder:
                self._folders[thread] = folder
                self._write(b"%.6f %s %d %s" % (now_s, FOLDER, thread, os.fsencode(folder)))
        is_elsewhere = self._is_moving and view(thread) != self._view
        return Place(thread, at, path, is_elsewhere=is_elsewhere)

    def _write(self, record: bytes) -> None:
        record += RECORD_END
        try:
            written = os.write(self._log, record)
        except OSError:  # a full disk
            written = 0
        if written < len(record):
            self.miss()

    def miss(self) -> None:
        """Something was not seen."""
        self._is_whole = False
        with suppress(OSError):
            os.pwrite(self._mark, INCOMPLETE, 0)


class _Thread:
    """Answers one call after the other."""

    def __init__(self, openings: Openings, listener: Listener) -> None:
        self._openings, self._listener = openings, listener
        self._since_s = 0.0
        self._memory = _Memory()
        self._thread = threading.Thread(target=self.answer, daemon=True)

    def start(self) -> None:
        """From now on."""
        self._thread.start()

    def join(self) -> None:
        """It has been told to end, and has; or it may take for ever."""
        self._thread.join(_LONG_S)

    def is_stuck(self) -> bool:
        """Whether it has been at one call for long."""
        since_s = self._since_s
        return since_s > 0 and abs(time.time() - since_s) > _LONG_S

    def answer(self) -> None:
        """Until nobody can ask any more, it is told to end, or another one has gone on."""
        with suppress(EOFError):
            while self._openings.is_current(self):
                call = self._listener.receive()
                if call:
                    self._since_s = now_s = time.time()
                    self._openings.take(call, self._memory, now_s)
                    self._listener.let_go(call)
                    self._since_s = 0.0


class _Memory:
    """Reads the memory of others, for one thread of this process."""

    def __init__(self) -> None:
        self._into = ctypes.create_string_buffer(_USUAL_BYTES)
        self._ours, self._theirs = _Part(ctypes.addressof(self._into), 0), _Part(0, 0)
        self._parts = ctypes.byref(self._ours), ctypes.byref(self._theirs)

    def asked(self, call: Call) -> tuple[int, str, int]:
        """What a path is relative to, the path, and the flags of a call that opens.

        Raises:
            OSError: The memory may not be read, or its owner is gone.
        """
        first, second, third, fourth, *_ = call.arguments
        if call.name == "openat":
            return first & _LOW, self._text(call.thread, second), third & _LOW
        if call.name == "open":
            return AT_FDCWD, self._text(call.thread, first), second & _LOW
        if call.name == "creat":
            return AT_FDCWD, self._text(call.thread, first), os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        how = self._read(call.thread, third, _HOW_BYTES) if fourth >= _HOW_BYTES else b""
        path = self._text(call.thread, second) if len(how) == _HOW_BYTES else ""
        return first & _LOW, path, int.from_bytes(how[:8], "little")

    def _text(self, thread: int, address: int) -> str:
        """The path that lies there; empty where nothing does, and the kernel will not open anything either."""
        told = b""
        while len(told) < _PATH_BYTES:
            at = address + len(told)
            some = self._read(thread, at, min(_USUAL_BYTES, _PAGE_BYTES - at % _PAGE_BYTES))
            whole, end, _ = some.partition(b"\0")
            told += whole
            if end or not some:
                break
        return os.fsdecode(told)

    def _read(self, thread: int, address: int, count: int) -> bytes:
        self._ours.count = self._theirs.count = count
        self._theirs.base = address
        ours, theirs = self._parts
        got = _libc.process_vm_readv(thread, ours, 1, theirs, 1, 0)
        if got >= 0:
            return self._into.raw[:got]
        reason = ctypes.get_errno()
        if reason == errno.EFAULT:
            return b""
        raise OSError(reason, os.strerror(reason))
