"""What can go wrong, in the words of the server where it gave a reason."""

from __future__ import annotations

from pathlib import Path


class ProviumError(Exception):
    """The base of all errors of this package."""


class NotAMountError(ProviumError):
    """The folder is not a provium mount, or its server is gone."""

    def __init__(self, point: Path, why: str) -> None:
        super().__init__(f"{point} is not a provium mount: {why}")


class NoDiskError(ProviumError, LookupError):
    """The mount has no disk with this ID."""

    def __init__(self, disk_id: str, point: Path, attached: list[str]) -> None:
        known = ", ".join(attached) or "none"
        super().__init__(f"no disk {disk_id!r} in {point} (attached: {known})")


class RejectedError(ProviumError, ValueError):
    """A control file rejected what was written to it, and nothing has changed. The text is that of `ctl/error`."""

    def __init__(self, file: str, text: str, reason: str, errno: int | None) -> None:
        super().__init__(f"{file}: {reason} (written: {text.strip()!r})")
        self.file = file
        """The control file, such as `vda/faults`."""
        self.reason = reason
        """The reason, as `ctl/error` has it."""
        self.errno = errno
        """The error number of the write."""


class BadLineError(ProviumError, ValueError):
    """A line of a control file is not what this package knows: the server may be newer."""

    def __init__(self, what: str, line: str) -> None:
        super().__init__(f"{line!r} is not {what}")


class WaitTimeoutError(ProviumError, TimeoutError):
    """What was waited for did not come in time."""


class CommandError(ProviumError):
    """A `provium` command failed. The text is what it wrote to its standard error."""

    def __init__(self, command: list[str], code: int, text: str) -> None:
        super().__init__(f"{' '.join(command)}: exit code {code}: {text.strip() or 'no message'}")
        self.code = code
        """Its exit code."""


class MissingError(ProviumError):
    """The machine lacks something: the binary, or `/dev/fuse`."""


class ProviumWarning(UserWarning):
    """A rule was armed that can never act, or may surprise."""
