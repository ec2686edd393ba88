"""Reads and writes control files. Everything else in this package goes through here."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Callable, Optional, TypeVar

from provium.errors import BadLineError, NotAMountError, ProviumError, RejectedError, WaitTimeoutError

T = TypeVar("T")

DEAD = (errno.ENOTCONN, errno.ECONNABORTED)
"""What every call says after the server of a mount has gone."""

BETWEEN_LOOKS = 0.005
"""Seconds between two looks at something that is waited for."""


class Control:
    """The folder `ctl` of a mount."""

    def __init__(self, point: Path) -> None:
        self.point = point

    def path(self, file: str) -> Path:
        """The control file `file`, such as `vda/faults`."""
        return self.point / "ctl" / file

    def read(self, file: str) -> str:
        """The text of a control file."""
        try:
            return self.path(file).read_text(encoding="utf-8", errors="surrogateescape")
        except OSError as error:
            raise self.explained(file, error) from error

    def lines(self, file: str, parse: Callable[[str], T]) -> list[T]:
        """The lines of a control file, each read by `parse`."""
        return [parse(line) for line in split_lines(self.read(file))]

    def write(self, file: str, text: str, *, replace: bool = False) -> None:
        """Writes `text` in one write(2), which the server takes as a whole or not at all."""
        how = os.O_TRUNC if replace else os.O_APPEND
        before = self._rejection(file)
        try:
            fd = os.open(self.path(file), os.O_WRONLY | os.O_CLOEXEC | how)
            try:
                os.write(fd, text.encode("utf-8", "surrogateescape"))
            finally:
                os.close(fd)
        except OSError as error:
            now = self._rejection(file)
            if now is not None and now != before:
                raise RejectedError(file, text, now[1], error.errno) from error
            raise self.explained(file, error) from error

    def _rejection(self, file: str) -> Optional[tuple[int, str]]:
        """Number and reason of the latest rejected write, if it was to this file."""
        try:
            line = self.path("error").read_text(encoding="utf-8", errors="surrogateescape").rstrip("\n")
        except OSError:
            return None
        if not line:
            return None
        number, _, rest = line.partition(" ")
        name, colon, reason = rest.partition(": ")
        if not number.isdigit() or not colon:
            raise BadLineError("a line of `ctl/error`", line)
        return (int(number), reason) if name == file else None

    def explained(self, file: str, error: OSError) -> ProviumError:
        """What an error of the system means, which a control file has given."""
        if error.errno in DEAD:
            return NotAMountError(self.point, "its server is gone; `provium umount --stale` cleans up")
        return ProviumError(f"{self.path(file)}: {error.strerror}")


def split_lines(text: str) -> list[str]:
    """The lines of `text`. Unlike `str.splitlines`, only a newline ends one."""
    return [line for line in text.split("\n") if line]


def wait_until(what: Callable[[], str], done: Callable[[], Optional[T]], timeout: float) -> T:
    """Looks until `done` returns something.

    Raises `WaitTimeoutError` after `timeout` seconds, with what `what` says then.
    """
    deadline = time.monotonic() + timeout
    while True:
        found = done()
        if found is not None:
            return found
        if time.monotonic() >= deadline:
            raise WaitTimeoutError(f"after {timeout:g} s: {what()}")
        time.sleep(BETWEEN_LOOKS)
