"""What `bench` measures by: servers with copies of an image, and what state their disks are in."""

import os
import shutil
import subprocess
import sys
import time
from typing import NamedTuple

from bench_made import Made, end
from bench_workloads import MIB

IMAGE = 256 * MIB
PENDING = 16384  # Requests of 4 KiB, spread over the image.
# Rules for sectors that no client reads.
RULES = {"rules": 1000, "100k-rules": 100_000}
# States of one disk, in which only the cost of what they are is measured.
STATES = ("volatile", "pending", "logged", "volatile+log", "checkpoint", "trace", "limit", "100k-rules", "64-disks")
MORE_DISKS = 48  # Beside the sixteen of a server.


def has(tool):
    return shutil.which(tool) is not None


def random_file(path, size):
    with open(path, "wb") as file:
        file.writelines(os.urandom(MIB) for _ in range(size // MIB))


def control(path, text):
    """One write is one transaction, and so is what stands between `begin` and `commit`."""
    with open(path, "wb") as file:
        file.write(text.encode())


def copy(source, target, size=IMAGE):
    """All images are written in one way, since where in memory they lie makes a difference."""
    with open(source, "rb") as old, open(target, "wb") as new:
        new.writelines(old.read(MIB) for _ in range(size // MIB))


class Way(NamedTuple):
    """A way to an image: what a client opens, and the process whose CPU time counts too."""

    target: str
    server: int | None = None


class Stage:
    """Every way to copies of one image in the folder `storage`, for as long as a `with` lasts."""

    def __init__(self, provium, passthrough, storage, against=None):
        self.provium, self.passthrough, self.storage, self.against = provium, passthrough, storage, against
        self.made, self.ways = Made(), {}
        self.state, self.tracer = "provium", None

    def path(self, name):
        return os.path.join(self.folder, name)

    def __enter__(self):
        self.folder = self.made.folder(self.storage)
        self.image = self.path("image")
        self.mount, self.bare, self.other = self.path("mnt"), self.path("bare"), self.path("other")
        self.prepare()
        return self

    def __exit__(self, *_):
        self.made.take_away()

    def start(self, *command, waits_for):
        server = self.made.process(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not os.path.exists(waits_for):
            if server.poll() is not None:
                sys.exit(f"bench: {' '.join(command[:2])} has ended with {server.returncode}")
            time.sleep(0.05)
        return server.pid

    def prepare(self):
        image = self.image
        random_file(image, IMAGE)
        self.ways["raw"] = Way(image)
        self.made.mount(self.bare, "fusermount3", "-u")
        # Ways that lock their image have their own.
        copy(image, image + ".bare")
        server = self.start(self.passthrough, self.bare, image + ".bare", waits_for=self.bare + "/vda")
        self.ways["bare"] = Way(self.bare + "/vda", server)
        # One disk in different states.
        served = self.serve(self.provium, self.mount, image + ".provium")
        self.ways |= dict.fromkeys(("provium", "rules", *STATES), served)
        if self.against:
            self.ways["other"] = self.serve(self.against, self.other, image + ".other")
        if has("nbdkit"):
            for way, more in (("nbdkit", []), ("nbdkit+error", ["--filter=error"])):
                socket = self.path(way)
                rate = ["error-rate=0"] if more else []
                server = self.start("nbdkit", "-f", "-U", socket, *more, "file", image, *rate, waits_for=socket)
                self.ways[way] = Way(f"nbd+unix:///?socket={socket}", server)
        target = f"driver=raw,file.driver=blkdebug,file.image.driver=file,file.image.filename={image}"
        self.ways["blkdebug"] = Way(target)

    def serve(self, provium, mount, image):
        """A disk of a new server, and sixteen small ones, which are together as big."""
        self.made.mount(mount, provium, "umount")
        copy(self.image, image)
        disks = ["--disk", f"vda={image}"]
        for n in range(1, 17):
            copy(self.image, f"{image}.{n}", IMAGE // 16)
            disks += ["--disk", f"d{n}={image}.{n}"]
        server = self.start(provium, "mount", "-f", mount, *disks, waits_for=mount + "/d16")
        return Way(mount + "/vda", server)

    def set_up(self, way):
        """Brings the disk of ours into the state that the way says."""
        if way == self.state or way not in (*STATES, *RULES) and self.state == "provium":
            return
        ctl, log = self.mount + "/ctl/vda/", self.image + ".log"
        self.end_state(ctl, log)
        self.state = way if way in STATES or way in RULES else "provium"
        if way in RULES:
            rules = (f"error op=read,write errno=EIO at={2000000000 + 16 * n}+8\n" for n in range(RULES[way]))
            control(ctl + "faults", "".join(["begin\n", *rules, "commit\n"]))
        if way == "limit":
            control(ctl + "faults", "limit op=read,write rate=1T")  # More than there is.
        if way in ("volatile", "pending", "volatile+log"):
            control(ctl + "cache", "volatile")
        if way == "pending":
            make_pending(self.mount, PENDING, IMAGE // PENDING)
        if way in ("logged", "volatile+log"):
            control(ctl + "log", f"start {log} base=none")
        if way == "checkpoint":
            control(ctl + "checkpoint", "save bench")
        if way == "trace":
            command = ["dd", f"if={ctl}trace", "of=/dev/null", "bs=64k", "status=none"]
            self.tracer = self.made.process(command, stderr=subprocess.DEVNULL)
        if way == "64-disks":
            for n in range(MORE_DISKS):
                more = f"{self.image}.more{n}"
                with open(more, "wb") as file:
                    file.truncate(MIB)
                control(self.mount + "/ctl/attach", f"more{n} {more}")

    def end_state(self, ctl, log):
        """Brings the disk of ours back."""
        if self.state in (*RULES, "limit"):
            control(ctl + "faults", "\n")
        if self.state in ("logged", "volatile+log"):
            control(ctl + "log", "stop")
            os.unlink(log)
        if self.state in ("volatile", "pending", "volatile+log"):
            control(ctl + "cache", "off")  # What is pending becomes durable.
        if self.state == "checkpoint":
            control(ctl + "checkpoint", "drop bench")
        if self.tracer:
            end(self.tracer)
            self.tracer = None
        if self.state == "64-disks":
            for n in range(MORE_DISKS):
                control(self.mount + "/ctl/detach", f"more{n}")


class Crowded:
    """A disk with very many pending requests, every second page of it, and the same disk without any."""

    def __init__(self, provium, count, storage):
        self.provium, self.count, self.storage = provium, count, storage
        self.made, self.ways = Made(), {}

    def __enter__(self):
        folder = self.made.folder(self.storage)
        self.mount, image = os.path.join(folder, "mnt"), os.path.join(folder, "image")
        with open(image, "wb") as file:
            file.truncate(self.count * 8192)
        self.made.mount(self.mount, self.provium, "umount")
        memory = f"memory={self.count * 5 // 1024 + 64}M"
        command = [self.provium, "mount", "-f", self.mount, "--disk", f"vda={image},cache=volatile", "-o", memory]
        server = self.made.process(command, stdout=subprocess.DEVNULL)
        while not os.path.exists(self.mount + "/vda"):
            if server.poll() is not None:
                sys.exit(f"bench: {self.provium} mount has ended with {server.returncode}")
            time.sleep(0.05)
        self.made.stack.callback(self.cut, server)
        self.ways = dict.fromkeys(("volatile", "pending"), Way(self.mount + "/vda", server.pid))
        return self

    def __exit__(self, *_):
        self.made.take_away()

    def cut(self, server):
        """Nothing of what is pending reaches the image."""
        if server.poll() is None:
            control(self.mount + "/ctl/power", "cut")

    def set_up(self, way):
        if way == "pending":
            make_pending(self.mount, self.count, 8192)


def make_pending(mount, count, step):
    """Has `count` writes of 4 KiB pending. QEMU would flush them as it closes the file."""
    data, disk = os.urandom(4096), os.open(mount + "/vda", os.O_RDWR)
    for number in range(count):
        os.pwrite(disk, data, number * step)
    os.close(disk)
    with open(mount + "/ctl/vda/stats", encoding="utf-8") as stats:
        if f"pending_requests {count}\n" not in stats.read():
            sys.exit(f"bench: not all of {count} requests are pending")
