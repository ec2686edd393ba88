"""The five commonest jobs: each fails when its fault is off.

`JOBS` are test files of at most five lines. They run in a pytest of their own, as they stand, and with every fault
removed the moment it is armed, and the power cut left out.
"""

from __future__ import annotations

import textwrap

import pytest

JOBS = {
    "bad_sector": """
        def test_bad_sector(disk):
            with disk.fault("eio_read at=8+1"), pytest.raises(OSError):
                disk.read(8)
            disk.read(8)
    """,
    "flaky": """
        def test_flaky(disk):
            with disk.fault("error op=read every=3") as rule:
                answers = [can_read(disk) for _ in range(9)]
            assert answers == [True, True, False] * 3 and rule.fired == 3
    """,
    "slow": """
        def test_slow(disk):
            with disk.fault("delay op=read by=200ms"):
                start = time.monotonic()
                disk.read(0)
            assert time.monotonic() - start >= 0.2
    """,
    "power_cut": """
        @pytest.mark.disk(cache="volatile")
        def test_power_cut(disk):
            disk.write(0, b"lost" * 128)
            assert disk.power_cycle().lost == 1
            assert disk.read(0) == bytes(512)
    """,
    "torn_write": """
        def test_torn_write(disk):
            with disk.fault("tear keep=1 times=1"):
                disk.write(0, b"x" * 1024)
            assert disk.read(0, 2) == b"x" * 512 + bytes(512)
    """,
}

HEAD = """
import time, pytest
def can_read(disk):
    try:
        return bool(disk.read(0))
    except OSError:
        return False
"""

FAULTS_OFF = """
import pytest
from provium import Disk, Power

@pytest.fixture(autouse=True)
def faults_off(monkeypatch):
    arm = Disk.arm
    def arm_and_disarm(self, *rules):
        faults = arm(self, *rules)
        for fault in faults:
            fault.disarm()
        return faults
    monkeypatch.setattr(Disk, "arm", arm_and_disarm)
    monkeypatch.setattr(Disk, "power_cycle", lambda self: Power(on=False, lost=1))
"""


def lines_of(job: str) -> list[str]:
    return [line for line in textwrap.dedent(job).strip().splitlines() if line.strip()]


@pytest.mark.parametrize("job", JOBS)
def test_job_passes_in_at_most_five_lines(pytester: pytest.Pytester, job: str) -> None:
    lines = lines_of(JOBS[job])
    assert len(lines) <= 5
    pytester.makepyfile(HEAD + "\n".join(lines))
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


@pytest.mark.parametrize("job", JOBS)
def test_job_fails_when_its_fault_is_off(pytester: pytest.Pytester, job: str) -> None:
    pytester.makepyfile(HEAD + "\n".join(lines_of(JOBS[job])))
    pytester.makeconftest(FAULTS_OFF)
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(failed=1)
