"""What `bench` measures: the workloads, and the ratios that say what the mount costs."""

from typing import NamedTuple

MIB = 1 << 20


class Workload(NamedTuple):
    """What a client does: `count` requests of `size` bytes, `depth` at a time. Each takes a fraction of a second."""

    name: str
    client: str
    count: int
    depth: int
    size: int
    more: tuple = ()


WARM_UP = Workload("warm-up", "qemu", 20000, 16, 4096)

QUICK = [
    Workload("read-4k-d1", "qemu", 10000, 1, 4096),
    Workload("read-4k-d16", "qemu", 60000, 16, 4096),
    Workload("read-1m", "qemu", 500, 4, MIB),
    Workload("write-1m", "qemu", 500, 4, MIB, ("-w",)),
    Workload("uring-4k-d1", "uring", 10000, 1, 4096),
    Workload("uring-4k-d16", "uring", 40000, 16, 4096),
    Workload("threads-4k-d1", "threads", 10000, 1, 4096),
    Workload("threads-4k-d16", "threads", 30000, 16, 4096),
]
# Of one disk with and without a cache, a log and pending requests.
CACHE = [
    Workload("cache-read-4k-d1", "cache", 5000, 1, 4096),
    Workload("cache-read-4k-d16", "cache", 24000, 16, 4096),
    Workload("cache-write-4k-d1", "cache", 4000, 1, 4096, ("-w",)),
    Workload("cache-write-4k-d16", "cache", 16000, 16, 4096, ("-w",)),
]
# Threads that each wait for their own request, as most programs do; the depth is their number.
JOBS = [
    Workload("psync-4k-1", "jobs", 12000, 1, 4096, ("randread", "--direct=1")),
    Workload("psync-4k-4", "jobs", 20000, 4, 4096, ("randread", "--direct=1")),
    Workload("psync-4k-16", "jobs", 32000, 16, 4096, ("randread", "--direct=1")),
    Workload("buffered-read-128k", "jobs", 1600, 1, 131072, ("read",)),
    Workload("buffered-write-128k", "jobs", 1600, 1, 131072, ("write",)),
    Workload("write-fdatasync", "jobs", 3000, 1, 4096, ("randwrite", "--direct=1", "--fdatasync=1")),
]
MANY = [
    Workload("many-read-4k-d1", "cache", 20000, 1, 4096),
    Workload("many-read-4k-d16", "cache", 80000, 16, 4096),
]
LONG = [
    Workload("read-4k-d4", "qemu", 20000, 4, 4096),
    Workload("read-4k-d64", "qemu", 40000, 64, 4096),
    Workload("write-4k-d1", "qemu", 8000, 1, 4096, ("-w",)),
    Workload("write-4k-d4", "qemu", 16000, 4, 4096, ("-w",)),
    Workload("write-4k-d16", "qemu", 32000, 16, 4096, ("-w",)),
    Workload("write-4k-d64", "qemu", 32000, 64, 4096, ("-w",)),
    Workload("write-fsync", "qemu", 300, 1, 4096, ("-w", "--flush-interval=1")),
    Workload("write-1m-fsync", "qemu", 100, 1, MIB, ("-w", "--flush-interval=1")),
]
FIO = [
    Workload("fio-read-4k-d16", "files", 40000, 16, 4096, ("randread",)),
    Workload("fio-write-4k-d16", "files", 32000, 16, 4096, ("randwrite",)),
    Workload("fio-read-1m", "files", 500, 4, MIB, ("read",)),
    Workload("16-on-1-disk-d1", "crowd", 64000, 1, 4096, (1,)),
    Workload("16-on-16-disks-d1", "crowd", 64000, 1, 4096, (16,)),
    Workload("16-on-1-disk-d16", "crowd", 96000, 16, 4096, (1,)),
    Workload("16-on-16-disks-d16", "crowd", 96000, 16, 4096, (16,)),
]
IN_GUEST = [
    Workload("guest-read-4k", "in_guest", 1000, 1, 4096),
    Workload("guest-read-1m", "in_guest", 100, 1, MIB),
]

CLIENTS = {
    "qemu": "qemu-img",
    "cache": "qemu-img",
    "uring": "qemu-img, io_uring",
    "threads": "qemu-img, threads",
    "files": "fio",
    "jobs": "fio, psync",
    "crowd": "fio",
    "in_guest": "dd in a guest",
}

# The ratios that say what the mount costs: one workload and way, another, what the ratio should be at least, and
# what --check demands. That has room for a machine whose neighbours are busy: below it something is broken. With an
# answer to FUSE_POLL, io_uring is at 0.25 of the bare passthrough at depth 1, and at 0.12 at depth 16.
RATIOS = [
    ("read-4k-d1 provium", "read-4k-d1 nbdkit+error", 1.5, 1.1),
    ("read-4k-d16 provium", "read-4k-d16 nbdkit+error", 2.3, 1.3),
    ("read-4k-d16 provium", "read-4k-d16 blkdebug", 1.5, 0.4),
    ("read-4k-d1 provium", "read-4k-d1 bare", 0.95, 0.7),
    ("read-4k-d16 provium", "read-4k-d16 bare", 0.95, 0.7),
    ("uring-4k-d1 provium", "uring-4k-d1 bare", 0.85, 0.7),
    ("uring-4k-d16 provium", "uring-4k-d16 bare", 0.85, 0.7),
    ("threads-4k-d1 provium", "threads-4k-d1 bare", 0.9, 0.7),
    ("threads-4k-d16 provium", "threads-4k-d16 bare", 0.9, 0.7),
    ("threads-4k-d16 provium", "threads-4k-d16 nbdkit+error", 1, 0.6),
    ("psync-4k-1 provium", "psync-4k-1 bare", 0.9, 0.7),
    ("psync-4k-4 provium", "psync-4k-4 bare", 0.9, 0.7),
    ("psync-4k-16 provium", "psync-4k-16 bare", 0.9, 0.7),
    ("buffered-read-128k provium", "buffered-read-128k bare", 0.9, 0.6),
    ("buffered-write-128k provium", "buffered-write-128k bare", 0.9, 0.6),
    ("write-fdatasync provium", "write-fdatasync bare", 0.9, 0.6),
    ("read-4k-d1 rules", "read-4k-d1 provium", 0.95, 0.7),
    ("read-4k-d16 rules", "read-4k-d16 provium", 0.95, 0.7),
    ("read-1m provium", "read-1m bare", 0.9, 0.6),
    ("write-1m provium", "write-1m bare", 0.9, 0.6),
    ("16-on-16-disks-d1 provium", "16-on-1-disk-d1 provium", 1, 0.7),
    ("16-on-16-disks-d16 provium", "16-on-1-disk-d16 provium", 1, 0.7),
    ("cache-read-4k-d1 volatile", "cache-read-4k-d1 provium", 0.9, 0.7),
    ("cache-read-4k-d16 volatile", "cache-read-4k-d16 provium", 0.9, 0.7),
    ("cache-read-4k-d1 pending", "cache-read-4k-d1 provium", 0.9, 0.6),
    ("cache-read-4k-d16 pending", "cache-read-4k-d16 provium", 0.9, 0.6),
    ("cache-write-4k-d1 volatile", "cache-write-4k-d1 provium", 0.7, 0.5),
    ("cache-write-4k-d16 volatile", "cache-write-4k-d16 provium", 0.7, 0.5),
    ("cache-write-4k-d1 logged", "cache-write-4k-d1 provium", 0.67, 0.45),
    # At depth 16 logs are not there yet: 0.52 to 0.60. The floors leave room below that, not below the aim.
    ("cache-write-4k-d16 logged", "cache-write-4k-d16 provium", 0.67, 0.35),
    ("cache-write-4k-d1 volatile+log", "cache-write-4k-d1 volatile", 0.67, 0.45),
    ("cache-write-4k-d16 volatile+log", "cache-write-4k-d16 volatile", 0.67, 0.35),
    ("cache-read-4k-d1 checkpoint", "cache-read-4k-d1 provium", 0.9, 0.6),
    ("cache-read-4k-d16 checkpoint", "cache-read-4k-d16 provium", 0.9, 0.6),
    ("cache-write-4k-d1 checkpoint", "cache-write-4k-d1 provium", 0.67, 0.4),
    ("cache-write-4k-d16 checkpoint", "cache-write-4k-d16 provium", 0.67, 0.35),
    ("cache-read-4k-d1 trace", "cache-read-4k-d1 provium", 0.8, 0.5),
    ("cache-read-4k-d16 trace", "cache-read-4k-d16 provium", 0.8, 0.4),
    ("cache-read-4k-d1 limit", "cache-read-4k-d1 provium", 0.8, 0.5),
    ("cache-read-4k-d16 limit", "cache-read-4k-d16 provium", 0.8, 0.4),
    ("cache-read-4k-d1 64-disks", "cache-read-4k-d1 provium", 0.95, 0.7),
    ("cache-read-4k-d16 64-disks", "cache-read-4k-d16 provium", 0.95, 0.7),
    ("cache-read-4k-d1 100k-rules", "cache-read-4k-d1 provium", 0.95, 0.7),
    ("cache-read-4k-d16 100k-rules", "cache-read-4k-d16 provium", 0.95, 0.7),
    ("many-read-4k-d1 pending", "many-read-4k-d1 volatile", 0.5, 0.3),
    ("many-read-4k-d16 pending", "many-read-4k-d16 volatile", 0.5, 0.3),
    ("cache-read-4k-d1 provium", "cache-read-4k-d1 other", 0.97, 0.7),
    ("cache-read-4k-d16 provium", "cache-read-4k-d16 other", 0.97, 0.7),
    ("cache-write-4k-d1 provium", "cache-write-4k-d1 other", 0.97, 0.7),
    ("cache-write-4k-d16 provium", "cache-write-4k-d16 other", 0.97, 0.7),
    ("guest-read-4k provium", "guest-read-4k raw", 0.8, 0.5),
]
# The workloads and ways that they compare.
COMPARED = {tuple(text.split()) for one, other, *_ in RATIOS for text in (one, other)}
