"""Power cuts, write logs and crash states, on a real mount."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import provium
from provium import Disk, Mount, Options

volatile = pytest.mark.disk(size="1M", cache="volatile")
CHECK = "! grep -q CCC {} || grep -q DDD {}"


@volatile
def test_cut_loses_what_is_not_flushed(disk: Disk) -> None:
    disk.write(0, b"a" * 512)
    disk.flush()
    disk.write(1, b"b" * 512)
    disk.write(2, b"c" * 512)
    numbers = [line.number for line in disk.pending()]
    cut = disk.power_cut(keep=numbers[1:], seed=7)
    assert (cut.on, cut.kept, cut.lost, cut.seed) == (False, 1, 1, 7)
    with pytest.raises(OSError, match="Input/output"):
        disk.read(0)
    disk.power_on()
    assert disk.power.on
    assert disk.read(0, 3) == b"a" * 512 + bytes(512) + b"c" * 512


@volatile
def test_unknown_key_of_a_cut_is_an_error_and_nothing_is_cut(disk: Disk, provium_mount: Mount) -> None:
    wrong: Any = {"sed": 7}
    cuts: list[Callable[..., object]] = [disk.power_cut, disk.power_cycle, provium_mount.power_cut]
    for cut in cuts:
        with pytest.raises(TypeError, match=r"no key 'sed' \(valid: keep, p, seed, tear, garbage\)"):
            cut(keep="none", **wrong)
    assert disk.power.on


@volatile
@pytest.mark.parametrize(("keep", "lost"), [("none", 2), ("all", 0), ("first=1", 1)])
def test_cut_keeps_what_it_is_told_to(disk: Disk, keep: str, lost: int) -> None:
    disk.write(0, b"a" * 512)
    disk.write(1, b"b" * 512)
    assert disk.power_cycle(keep).lost == lost


@volatile
def test_checkpoint_brings_the_disk_back(disk: Disk) -> None:
    disk.write(0, b"a" * 512)
    disk.save_checkpoint("first")
    with disk.fault("error op=read"):
        disk.save_checkpoint("armed", faults=True)
        assert disk.checkpoints() == ["first", "armed"]
    disk.write(0, b"b" * 512)
    disk.restore_checkpoint("first")
    assert (disk.read(0), len(disk.pending())) == (b"a" * 512, 1)
    disk.restore_checkpoint("armed")
    with pytest.raises(OSError, match="Input/output"):
        disk.read(0)
    disk.clear()
    disk.drop_checkpoint("armed")
    with pytest.raises(provium.ProviumError, match=r"no checkpoint `armed` .saved: first."):
        disk.restore_checkpoint("armed")


@volatile
def test_cut_of_a_mount_is_for_all_its_disks(provium_mount: Mount, disk: Disk) -> None:
    assert disk.power.on
    other = provium_mount.new_disk("vdb", "1M", cache="volatile")
    with provium_mount.events() as events:
        powers = provium_mount.power_cut(keep="random", p=0.5, seed=3)
        assert [power.on for power in powers.values()] == [False, False]
        assert events.next().what.startswith("cut kept=0 lost=0 seed=")
    provium_mount.power_on()
    assert other.power.on


def test_cache_is_switched(disk: Disk) -> None:
    assert disk.cache == "off"
    disk.cache = "volatile"
    assert disk.cache == "volatile"
    with pytest.raises(provium.RejectedError, match="cache"):
        disk.cache = "big"


def update(disk: Disk, *, flush: bool) -> None:
    disk.write(0, b"DDD")
    if flush:
        disk.flush()
    disk.write(8, b"CCC")


@volatile
def test_states_of_a_log_are_judged(disk: Disk, tmp_path: Path) -> None:
    with disk.record(tmp_path / "bad.log") as recording:
        assert disk.log is not None
        assert (disk.log.path, disk.log.stopped) == (str(tmp_path / "bad.log"), None)
        update(disk, flush=False)
    assert disk.log is None
    verdicts = {state.id: state.verdict for state in recording.states(CHECK)}
    assert sorted(verdicts.values()) == ["bad", "good", "good", "good"]
    (bad,) = [state for state in disk.states(recording.log, CHECK) if state.bad]
    assert bad.code == 1
    assert b"CCC" in bad.save(tmp_path / "bad.img").read_bytes()
    with pytest.raises(AssertionError, match="smallest loss: 0"):
        recording.assert_crash_safe(CHECK)


@volatile
def test_log_with_a_flush_is_crash_safe(disk: Disk, tmp_path: Path) -> None:
    with disk.record(tmp_path / "good.log", base="none") as recording:
        update(disk, flush=True)
    recording.assert_crash_safe(CHECK)
    picked = recording.states(options=Options(pick="none", base="none", at="flush"))
    assert {state.verdict for state in picked} == {"unchecked"}


@volatile
def test_walk_that_is_left_early_ends(disk: Disk, tmp_path: Path) -> None:
    with disk.record(tmp_path / "disk.log") as recording:
        update(disk, flush=False)
    only_the_first_ends = f"mkdir {tmp_path}/first 2> /dev/null || sleep 100 # {{}}"
    started = time.monotonic()
    walk = recording.states(only_the_first_ends, Options(jobs=1))
    assert next(walk).verdict == "good"
    walk.close()
    assert time.monotonic() - started < 30


@volatile
def test_walk_has_a_timeout(disk: Disk, tmp_path: Path) -> None:
    with disk.record(tmp_path / "disk.log") as recording:
        update(disk, flush=False)
    check = f"echo $$ >> {tmp_path}/checks; exec sleep 100 # {{}}"
    for limit in (1, 2, 4, 8, 16):  # On a busy machine, a check begins late.
        with pytest.raises(provium.CommandError, match=rf"no end after {limit} s"):
            list(recording.states(check, Options(total_timeout=limit)))
        with pytest.raises(provium.CommandError, match=rf"no end after {limit} s"):
            recording.assert_crash_safe(check, Options(total_timeout=limit))
        if (tmp_path / "checks").exists():
            break
    checks = (tmp_path / "checks").read_text().split()
    assert checks
    deadline = time.monotonic() + 60
    while alive := [check for check in checks if Path("/proc", check).exists()]:
        assert time.monotonic() < deadline, alive
        time.sleep(0.05)


def test_walk_of_what_is_no_log_says_so(tmp_path: Path, disk: Disk) -> None:
    log = tmp_path / "no.log"
    log.write_bytes(bytes(4096))
    with pytest.raises(provium.CommandError, match="exit code 2: provium: "):
        list(disk.states(log))
