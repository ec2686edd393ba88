"""Kernel AIO for the tests, which waits for nothing while it is under way: `aio.py PATH flush N` has N flushes under way at
once; `aio.py PATH write SECTOR BYTE` writes a sector full of a byte past the page cache. Prints how many were answered."""

import ctypes
import mmap
import os
import struct
import sys

SETUP, GETEVENTS, SUBMIT = {"x86_64": (206, 208, 209), "aarch64": (0, 4, 2)}[os.uname().machine]
PWRITE, FSYNC = 1, 2
libc = ctypes.CDLL(None, use_errno=True)


def block(what, address=0, length=0, offset=0):
    parts = struct.pack("QIIHhIQQqQII", 0, 0, 0, what, 0, file, address, length, offset, 0, 0, 0)
    return ctypes.create_string_buffer(parts, 64)


path, what = sys.argv[1:3]
numbers = [int(word) for word in sys.argv[3:]]
file = os.open(path, os.O_RDWR | os.O_DIRECT)
if what == "write":
    sector, byte = numbers
    memory = mmap.mmap(-1, 512)
    memory.write(bytes([byte]) * 512)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    blocks = [block(PWRITE, address, 512, sector * 512)]
else:
    blocks = [block(FSYNC) for _ in range(numbers[0])]
count = len(blocks)
context = ctypes.c_ulong(0)
assert libc.syscall(SETUP, count, ctypes.byref(context)) == 0
pointers = (ctypes.c_void_p * count)(*[ctypes.addressof(block) for block in blocks])
assert libc.syscall(SUBMIT, context, count, pointers) == count
events = ctypes.create_string_buffer(32 * count)
assert libc.syscall(GETEVENTS, context, count, count, events, None) == count
results = [result[2] for result in struct.iter_unpack("QQqq", events.raw)]
print(f"{sum(result >= 0 for result in results)} answered, {results.count(-5)} failed")
