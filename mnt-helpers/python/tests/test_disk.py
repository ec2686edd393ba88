"""Rules, counters and streams of a disk, on a real mount."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from pathlib import Path

import pytest

import provium
from provium import Answered, Disk, Mount, Noted
from provium.binary import run


def test_fault_is_armed_in_its_block_alone(disk: Disk) -> None:
    with disk.fault("error op=read at=128+8 times=1") as rule:
        assert disk.faults() == [f"error op=read errno=EIO at=128+8 times=1 tag={rule.tag}"]
        with pytest.raises(OSError, match="Input/output error"):
            disk.read(130)
        disk.read(130)
        assert (rule.fired, rule.state.left) == (1, 0)
    assert disk.faults() == []
    assert rule.fired == 1


def test_fault_is_disarmed_when_its_block_fails(disk: Disk) -> None:
    with pytest.raises(ZeroDivisionError), disk.fault("slow"):
        raise ZeroDivisionError
    assert disk.faults() == []


@pytest.mark.filterwarnings("ignore:.*decides first")
def test_two_faults_of_the_same_text_are_two(disk: Disk) -> None:
    with disk.fault("eio_read"):
        with disk.fault("eio_read"):
            pass
        with pytest.raises(OSError, match="Input/output"):
            disk.read(0)


def test_rule_may_be_words_or_keys(disk: Disk) -> None:
    with disk.fault("error", op="write", errno="ENOSPC", for_="10s", tag="full") as rule:
        assert rule.tag == "full"
        with pytest.raises(OSError, match="No space left"):
            disk.write(0, bytes(512))


def test_tag_that_rules_share_disarms_one(disk: Disk) -> None:
    first, second = disk.arm("eio_read at=1+1 tag=x", "eio_read at=2+1 tag=x")
    assert second.state.rule == "eio_read at=2+1 tag=x"
    first.disarm()
    first.disarm()
    assert disk.faults() == ["eio_read at=2+1 tag=x"]


def test_profile_is_armed_whole(disk: Disk) -> None:
    disk.arm_profile("ebs-intermittent-latency", seed=7, scale=0.5)
    assert len(disk.faults()) == 6
    assert "after=3m for=1m" in disk.faults()[2]
    with pytest.raises(provium.ProviumError, match="ebs-intermittent-latency"):
        disk.arm_profile("ebs-intermitent-latency")


def test_rejected_rule_says_why_and_arms_nothing(disk: Disk) -> None:
    with pytest.raises(provium.RejectedError, match="unknown mode `bogus`") as caught:
        disk.arm("slow", "bogus")
    assert (caught.value.file, caught.value.errno) == ("vda/faults", 22)
    assert disk.faults() == []


def test_rule_that_can_never_act_warns(disk: Disk) -> None:
    with pytest.warns(provium.ProviumWarning, match="can never act: no rule has the tag `a`"):
        disk.fault("eio_read when=a")


def test_clear_and_release_let_go_what_is_held(disk: Disk) -> None:
    for end in (disk.clear, disk.release):
        rule = disk.fault("hang op=read")
        reader = threading.Thread(target=disk.read, args=(3,), daemon=True)
        reader.start()
        rule.wait_fired()
        (held,) = disk.inflight()
        assert (held.op, held.sector, held.count) == ("read", 3, 1)
        assert held.rules is not None
        assert held.rules.startswith("hang op=read")
        end()
        reader.join(60)
        assert not reader.is_alive()


def test_wait_fired_ends_after_its_timeout_and_tells_the_count(disk: Disk) -> None:
    rule = disk.fault("slow tag=wait")
    disk.read(0)
    assert disk.wait_fired("wait").fired == 1
    assert disk.wait_fired("slow tag=wait").fired == 1
    with pytest.raises(provium.WaitTimeoutError, match=r"after 0\.05 s: `slow tag=wait` has fired 1 times, and 2 was"):
        disk.wait_fired(rule, 2, timeout=0.05)
    with pytest.raises(provium.WaitTimeoutError, match="has fired 1 times"):
        disk.wait_fired("wait", 2, timeout=0.05)
    with pytest.raises(provium.ProviumError, match=r"no rule or tag `x` is armed \(armed: `slow tag=wait`\)"):
        disk.wait_fired("x")


def test_decisions_fail_the_same_request_again(disk: Disk) -> None:
    with disk.decisions() as decisions:
        with disk.fault("error op=read skip=1 times=1"):
            disk.read(7)
            with pytest.raises(OSError, match="Input/output"):
                disk.read(7)
        decision = decisions.next()
        assert isinstance(decision, provium.Decision)
        assert (decision.op, decision.sector, decision.touch, decision.note) == ("read", 7, 2, None)
    assert decision.replay is not None
    with disk.fault(decision.replay):
        disk.read(7)
        with pytest.raises(OSError, match="Input/output"):
            disk.read(7)


def test_trace_has_what_was_answered(disk: Disk) -> None:
    with disk.trace() as trace, disk.fault("eio_read at=7+1") as rule:
        disk.read(6)
        disk.mark("between")
        with pytest.raises(OSError, match="Input/output"):
            disk.read(7)
        read, mark = trace.next(), trace.next()
        assert isinstance(read, Answered)
        assert (read.op, read.sector, read.count, read.ok, read.rules) == ("read", 6, 1, True, ())
        assert isinstance(mark, Noted)
        assert mark.text == "between"
        failed = trace.wait(lambda line: isinstance(line, Answered) and not line.ok)
        assert isinstance(failed, Answered)
        assert failed.rules == (rule.text,)
        assert list(trace) == []
        with pytest.raises(provium.WaitTimeoutError, match="no further line in"):
            trace.next(timeout=0.05)


def test_stats_count_requests(disk: Disk) -> None:
    disk.read(0, 8)
    stats = disk.stats()
    assert (stats["read_requests"], stats["read_bytes"], stats["in_flight"]) == (1, 4096, 0)


def test_damage_names_the_rule(disk: Disk) -> None:
    with disk.fault("lose op=write") as rule:
        disk.write(5, bytes(512))
    assert disk.damage() == [provium.Damage(5, 1, "lost", rule.state.rule)]


def test_seed_and_size_are_numbers(disk: Disk) -> None:
    disk.seed = 7
    assert (disk.seed, disk.size) == (7, 64 << 20)


def test_mount_that_exists_is_left_as_it_is(provium_mount: Mount, disk: Disk) -> None:
    with Mount(provium_mount.point) as attached:
        assert attached["vda"].size == disk.size
    assert Mount(str(provium_mount.point)).version.startswith("provium ")


def test_mount_is_gone_after_its_block(tmp_path: Path, provium_mount: Mount) -> None:
    assert provium_mount.disks() == []
    image = tmp_path / "two words.img"
    image.write_bytes(bytes(1 << 20))
    point = tmp_path / "mnt"
    point.mkdir()
    with Mount.start({"vda": image}, point=point, options="fixed") as mount:
        (line,) = mount.disk_lines()
        assert (line.image, line.size, line.options) == (str(image), 1 << 20, ("fixed",))
    assert list(point.iterdir()) == []
    with pytest.raises(provium.NotAMountError, match="is not a provium mount"):
        Mount(point)


def test_mount_whose_server_was_killed_says_so_and_leaves_nothing() -> None:
    with Mount.start() as mount:
        disk = mount.new_disk("vda", "1M")
        trace = disk.trace()
        os.kill(server_of(mount), signal.SIGKILL)
        wait_for_death(mount)
        with pytest.raises(provium.NotAMountError, match="its server is gone; `provium umount --stale`"):
            disk.rules()
        with pytest.raises(provium.NotAMountError, match="its server is gone"):
            trace.next()
        with pytest.raises(provium.NotAMountError, match="its server is gone"):
            disk.trace()
        trace.close()
    assert not mount.point.parent.exists()


def server_of(mount: Mount) -> int:
    found = re.search(r"server (\d+)", run("status", str(mount.point)))
    assert found is not None
    return int(found[1])


def wait_for_death(mount: Mount) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            (mount.point / "ctl" / "version").read_text()
        except OSError:
            return


def test_mount_whose_server_is_stopped_is_an_error_in_time(provium_mount: Mount) -> None:
    server = server_of(provium_mount)
    os.kill(server, signal.SIGSTOP)
    try:
        with pytest.raises(provium.NotAMountError, match=r"no answer within 0\.1 s; `provium status`"):
            Mount(provium_mount.point, timeout=0.1)
    finally:
        os.kill(server, signal.SIGCONT)


def test_errors_of_a_mount_say_what_is_there(provium_mount: Mount, disk: Disk) -> None:
    with pytest.raises(provium.NoDiskError, match=r"no disk 'vdb' in .* \(attached: vda\)"):
        provium_mount.disk("vdb")
    with pytest.raises(provium.RejectedError, match="vda"):
        provium_mount.attach("vda", disk.path)
    with pytest.raises(provium.CommandError, match="exit code"):
        Mount.start({"vda": "/no/such/image"})
    with pytest.raises(ValueError, match="'64 megs' is no size"):
        provium_mount.new_disk("vdb", "64 megs")


def test_disk_can_be_attached_and_detached(provium_mount: Mount, tmp_path: Path) -> None:
    image = tmp_path / "a.img"
    image.write_bytes(bytes(1 << 20))
    disk = provium_mount.attach("extra", image, readonly=True, cache="volatile")
    assert (disk.size, disk.cache) == (1 << 20, "volatile")
    assert provium_mount.disk_lines()[0].readonly
    provium_mount.detach("extra")
    assert provium_mount.disks() == []


def test_faults_of_all_disks_are_cleared(provium_mount: Mount, disk: Disk) -> None:
    disk.fault("slow")
    provium_mount.clear()
    assert disk.faults() == []
