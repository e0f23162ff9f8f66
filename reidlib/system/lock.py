"""A claim on a run or a file: one process makes it, the others wait, one that died holds nothing.

The claim is an exclusive ``flock`` on ``<name>.lock`` beside it. The kernel lets it go
when the process ends, however it ends. Linux passes it on to the server of an NFS (since 2.6.12;
NFSv4 frees a lost machine's locks when its lease is over, by default after 90 seconds), so it also
holds between machines. Where locks stay on one machine (Lustre mounted with ``localflock``, BeeGFS
by default), it only holds between the processes of that machine.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tqdm import tqdm

from reidlib.errors import ReidError
from reidlib.system.files import explained

_NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}


def lock_file(path: Path) -> Path:
    """The file that stands for a run: beside its folder, not in it, since that may be deleted."""
    return path.with_name(path.name + ".lock")


@contextmanager
def claim(path: Path, seconds: float = float("inf")) -> Iterator[None]:
    """Holds what is made at ``path``, a run say, while the block runs; waits until it is free.

    It holds against other threads of this process too, and says so if it waits longer than a
    second. Raises ReidError if it is not free after ``seconds``, or where files cannot be locked.
    """
    lock, began, said = lock_file(path), time.monotonic(), False
    while (file := _taken(lock)) is None:
        waited = time.monotonic() - began
        if waited >= seconds:
            raise ReidError(
                f"{path} is being made by {_holder(lock)}: wait until that is over, or stop it"
            )
        if waited > 1 and not said:
            tqdm.write(f"{path.name}: waiting, {_holder(lock)} makes it", file=sys.stderr)
            said = True
        time.sleep(min(0.05 + waited / 10, 1.0))
    with file:  # closing it ends the claim
        with explained(lock):
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}")
            file.flush()
        yield


def claimed(path: Path) -> bool:
    """Whether some process, here or on another machine, makes what is at ``path`` now."""
    try:
        with open(lock_file(path)) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # nobody ever made it, or files cannot be locked here
        pass
    return False


def _taken(lock: Path) -> IO[str] | None:
    """The locked file, or None if somebody else holds it."""
    with explained(lock):
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = open(lock, "a+")  # noqa: SIM115  (open as long as the claim lasts)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(file.fileno()), os.stat(lock)):
            return file
    except (BlockingIOError, FileNotFoundError):  # held, or removed after it was opened
        pass
    except OSError as error:
        file.close()
        if error.errno in _NO_LOCKS:
            raise ReidError(
                f"{lock} cannot be locked ({error.strerror}): put runs and cache on a file system "
                "with locks (Lustre: mounted with flock), by REIDLIB_RUNS and REIDLIB_CACHE"
            ) from error
        raise
    file.close()
    return None


def _holder(lock: Path) -> str:
    try:
        return lock.read_text() or "another process"
    except OSError:
        return "another process"
