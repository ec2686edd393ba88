"""The streams of a mount: the trace of a disk, and the events of all disks."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from types import TracebackType
from typing import Callable, Generic, Optional, TypeVar

from provium.control import Control, wait_until

L = TypeVar("L")


class Stream(Generic[L]):
    """Lines from the moment on at which this was made. A context manager, which closes it.

    Nothing here waits without an end: the file is read without blocking. The kernel says of every file of a mount that
    it is ready, so `select` is of no use.
    """

    def __init__(self, control: Control, file: str, parse: Callable[[str], L]) -> None:
        self._control = control
        self._file = file
        self._path = control.path(file)
        self._parse = parse
        try:
            self._fd = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise control.explained(file, error) from error
        self._rest = b""
        self._lines: list[L] = []

    def __enter__(self) -> Stream[L]:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[L]:
        """The lines that have come so far. Ends where the next one would have to be waited for."""
        while True:
            line = self._next()
            if line is None:
                return
            yield line

    def next(self, timeout: float = 10.0) -> L:
        """The next line, which may take `timeout` seconds to come."""
        return wait_until(lambda: f"no further line in {self._path}", self._next, timeout)

    def wait(self, is_it: Callable[[L], bool], timeout: float = 10.0) -> L:
        """The next line for which `is_it` is true. Lines before it are passed over."""

        def done() -> Optional[L]:
            return next((line for line in self if is_it(line)), None)

        return wait_until(lambda: f"no such line in {self._path}", done, timeout)

    def close(self) -> None:
        """Closes it. A mount with an open stream cannot be unmounted."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with contextlib.suppress(OSError):  # The server is gone; the descriptor is closed all the same.
                os.close(fd)

    def _next(self) -> Optional[L]:
        if not self._lines:
            self._fill()
        return self._lines.pop(0) if self._lines else None

    def _fill(self) -> None:
        while self._fd >= 0:
            try:
                read = os.read(self._fd, 1 << 16)
            except BlockingIOError:
                break
            except OSError as error:
                raise self._control.explained(self._file, error) from error
            if not read:
                break
            *whole, self._rest = (self._rest + read).split(b"\n")
            texts = (line.decode("utf-8", "surrogateescape") for line in whole)
            self._lines.extend(self._parse(text) for text in texts)
