"""The pytest plugin: a mount and a disk for a test, and what the disk saw when it fails.

`@pytest.mark.disk(size="64M", cache="volatile")` says how the disk of the fixture `disk` is made.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from typing import Any, Optional, Union

import pytest

from provium.binary import what_is_missing
from provium.disk import Disk
from provium.mount import Mount
from provium.report import Recorder, describe

_RECORDERS = pytest.StashKey[dict[Disk, Recorder]]()
_MOUNT = pytest.StashKey[Mount]()


def pytest_configure(config: pytest.Config) -> None:
    """Makes the mark known."""
    config.addinivalue_line(
        "markers", 'disk(size="64M", cache="off", fixed=True): how the disk of the fixture `disk` is made'
    )


@pytest.fixture
def provium_mount(request: pytest.FixtureRequest) -> Iterator[Mount]:
    """A mount without disks, for one test. Unmounted at its end, whatever is still held.

    Without provium or /dev/fuse the test is skipped, and with CI set it is an error.
    """
    missing = what_is_missing()
    if missing is not None:
        if os.environ.get("CI"):
            pytest.fail(f"CI lacks what the test needs: {missing}", pytrace=False)
        pytest.skip(missing)
    with Mount.start() as mount:
        recorders: dict[Disk, Recorder] = {}
        request.node.stash[_MOUNT] = mount
        request.node.stash[_RECORDERS] = recorders
        yield mount
        for recorder in recorders.values():
            recorder.close()


@pytest.fixture
def disk(provium_mount: Mount, request: pytest.FixtureRequest) -> Disk:
    """A fresh disk `vda` of 64 MiB, or as the mark `disk` says."""
    disk = provium_mount.new_disk("vda", **_marked(request))
    request.node.stash[_RECORDERS][disk] = Recorder(disk)
    return disk


def _marked(request: pytest.FixtureRequest) -> dict[str, Any]:
    mark = request.node.get_closest_marker("disk")
    if mark is None:
        return {}
    known: dict[str, Union[type, tuple[type, ...]]] = {"size": (str, int), "cache": str, "fixed": bool}
    for key, value in mark.kwargs.items():
        if key not in known or not isinstance(value, known[key]):
            valid = 'size="64M", cache="volatile" or "off", fixed=True or False'
            pytest.fail(f"@pytest.mark.disk: {key}={value!r} (valid: {valid})", pytrace=False)
    if mark.args:
        pytest.fail("@pytest.mark.disk takes keyword arguments alone", pytrace=False)
    return dict(mark.kwargs)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, None]:
    """Shows the disks of a test that has failed, as they are before anything is taken down."""
    outcome = yield
    report: pytest.TestReport = outcome.get_result()
    mount: Optional[Mount] = item.stash.get(_MOUNT, None)
    if mount is None or not report.failed or call.when != "call":
        return
    recorders = item.stash.get(_RECORDERS, {})
    for disk in mount.known_disks():
        report.sections.append((f"disk {disk.id}", describe(disk, recorders.get(disk))))
