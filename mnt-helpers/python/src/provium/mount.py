"""A mount: starting it, its disks, and what concerns all of them."""

from __future__ import annotations

import contextlib
import queue
import shlex
import shutil
import tempfile
import threading
import warnings
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Optional, Union

from provium import binary, lines
from provium.control import Control, split_lines
from provium.disk import CutKeys, Disk, Keep, cut_line
from provium.errors import NotAMountError, ProviumError, ProviumWarning
from provium.trace import Stream

if TYPE_CHECKING:
    from typing_extensions import Unpack

StrPath = Union[str, Path]

_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def parse_size(size: Union[str, int]) -> int:
    """The bytes of a size: a number, or a text such as `64M`."""
    text = str(size)
    number, unit = (text[:-1], text[-1].upper()) if text[-1:].isalpha() else (text, "")
    if not number.isdigit() or (unit and unit not in _UNITS):
        raise ValueError(f"{text!r} is no size (valid: a number of bytes, or one with K, M, G or T, as in 64M)")
    return int(number) * _UNITS.get(unit, 1)


def _options(readonly: bool, fixed: bool, cache: Optional[str]) -> list[str]:
    words = [word for word, is_set in (("ro", readonly), ("fixed", fixed)) if is_set]
    return words + ([f"cache={cache}"] if cache and cache != "off" else [])


def _unmount(point: Path, folder: Optional[Path]) -> None:
    """Ends a mount that was started here, in use or not; also at the end of the interpreter."""
    for how in ("--force", "--stale"):
        with contextlib.suppress(ProviumError):
            binary.run("umount", how, str(point))
            break
    if _is_mounted(point):
        warnings.warn(
            f"{point} cannot be unmounted: try `provium umount --force {point}`", ProviumWarning, stacklevel=2
        )
    elif folder is not None:
        shutil.rmtree(folder)


def _is_mounted(point: Path) -> bool:
    try:
        return point.is_mount()
    except OSError:  # Its server is gone, and the mount is not.
        return True


class Mount:
    """A mount that answers. As a context manager it is unmounted at the end, if it was started here."""

    def __init__(self, point: StrPath, timeout: float = 10.0) -> None:
        """Attaches to the mount at `point`, which goes on after this. `Mount.start` starts one.

        A server that does not answer within `timeout` seconds is an error.
        """
        self.point = Path(point).absolute()
        """The mount point."""
        self.control = Control(self.point)
        self._disks: dict[str, Disk] = {}
        self._folder: Optional[Path] = None
        self._end: Optional[weakref.finalize[[Path, Optional[Path]], Mount]] = None
        version = self._first_answer(timeout)
        if not version.startswith("provium "):
            raise NotAMountError(self.point, f"its version is {version!r}")

    def _first_answer(self, timeout: float) -> str:
        """The version, asked for in a thread: a server that is stopped would not answer."""
        answers: queue.Queue[Union[str, ProviumError]] = queue.Queue()

        def ask() -> None:
            try:
                answers.put(self.version)
            except ProviumError as error:
                answers.put(error)

        threading.Thread(target=ask, daemon=True).start()
        try:
            answer = answers.get(timeout=timeout)
        except queue.Empty:
            why = f"no answer within {timeout:g} s; `provium status` says whether its server is stopped"
            raise NotAMountError(self.point, why) from None
        if isinstance(answer, NotAMountError):
            raise answer
        if isinstance(answer, ProviumError):
            raise NotAMountError(self.point, "it has no ctl/version; `provium mount` starts one") from answer
        return answer

    @classmethod
    def start(
        cls,
        disks: Optional[Mapping[str, StrPath]] = None,
        *,
        point: Optional[StrPath] = None,
        cache: Optional[str] = None,
        options: Optional[str] = None,
        timeout: float = 60.0,
    ) -> Mount:
        """Starts `provium mount` for these images, by ID.

        `point` is an empty folder; a temporary one by default. `cache="volatile"` is for all disks, `options` is what
        `provium mount -o` takes.
        """
        folder = None
        if point is None:
            folder = Path(tempfile.mkdtemp(prefix="provium-"))
            point = folder / "mnt"
        place = Path(point)
        words = [word for word in (options, f"cache={cache}" if cache == "volatile" else None) if word]
        args = ["-o", ",".join(words)] if words else []
        for disk_id, image in (disks or {}).items():
            args += ["--disk", f"{disk_id}={image}"]
        try:
            if folder is not None:
                place.mkdir()
            binary.run("mount", *args, str(place), timeout=timeout)
            mount = cls(place)
        except BaseException:
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
            raise
        mount._folder = folder
        mount._end = weakref.finalize(mount, _unmount, mount.point, folder)
        return mount

    def __enter__(self) -> Mount:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if self._end is not None:
            self._end()

    def __getitem__(self, disk_id: str) -> Disk:
        return self.disk(disk_id)

    def __repr__(self) -> str:
        return f"<Mount {self.point}>"

    def unmount(self, *, force: bool = False) -> None:
        """Ends the mount. Without `force`, a mount in use stays, and the error names its users."""
        binary.run("umount", *(["--force"] if force else []), str(self.point))
        if self._end is not None:
            self._end.detach()
        if self._folder is not None:
            shutil.rmtree(self._folder)

    # Disks.

    def disk(self, disk_id: str) -> Disk:
        """The disk with this ID."""
        if disk_id not in self._disks:
            self._disks[disk_id] = Disk(self.control, disk_id)
        return self._disks[disk_id]

    def disks(self) -> list[Disk]:
        """All disks, in the order in which they were attached."""
        return [self.disk(line.id) for line in self.disk_lines()]

    def known_disks(self) -> Sequence[Disk]:
        """The disks that were asked for here."""
        return tuple(self._disks.values())

    def disk_lines(self) -> list[lines.DiskLine]:
        """What `ctl/disks` says."""
        return self.control.lines("disks", lines.DiskLine.parse)

    def attach(
        self,
        disk_id: str,
        image: StrPath,
        *,
        readonly: bool = False,
        fixed: bool = False,
        cache: Optional[str] = None,
    ) -> Disk:
        """Serves an image. A disk that is `fixed` never grows."""
        words = [disk_id, str(Path(image).absolute()), *_options(readonly, fixed, cache)]
        self.control.write("attach", shlex.join(words) + "\n")
        return self.disk(disk_id)

    def new_disk(
        self, disk_id: str, size: Union[str, int] = "64M", *, fixed: bool = True, cache: Optional[str] = None
    ) -> Disk:
        """Serves a new image of zeros, in the temporary folder of a mount that was started without `point`."""
        if self._folder is None:
            raise ProviumError(f"{self.point} has no temporary folder: make an image, and `attach` it")
        image = self._folder / f"{disk_id}.img"
        with image.open("xb") as file:
            file.truncate(parse_size(size))
        return self.attach(disk_id, image, fixed=fixed, cache=cache)

    def detach(self, disk_id: str) -> None:
        """Takes a disk away that no client has open."""
        self.control.write("detach", f"{disk_id}\n")
        self._disks.pop(disk_id, None)

    # All disks at once.

    @property
    def version(self) -> str:
        """`provium X.Y.Z`."""
        return self.control.read("version").rstrip("\n")

    def clear(self) -> None:
        """Removes all rules of all disks, and releases what they hold."""
        self.control.write("clear", "1\n")

    def mark(self, text: str) -> None:
        """Sets a mark in the trace and the log of every disk."""
        self.control.write("mark", f"{text}\n")

    def events(self) -> Stream[lines.Event]:
        """Power cuts, evictions and stopped logs from now on."""
        return Stream(self.control, "events", lines.Event.parse)

    def power(self) -> dict[str, lines.Power]:
        """The state of the power of each disk."""
        pairs = (line.split(" ", 1) for line in split_lines(self.control.read("power")))
        return {pair[0]: lines.Power.parse(pair[-1]) for pair in pairs}

    def power_cut(self, keep: Keep = "none", **keys: Unpack[CutKeys]) -> dict[str, lines.Power]:
        """Cuts the power of all disks at one instant. See `Disk.power_cut`."""
        self.control.write("power", cut_line(keep, keys))
        return self.power()

    def power_on(self) -> None:
        """Returns the power of all disks."""
        self.control.write("power", "on\n")
