"""The heap on huge pages.

Between two calls a proxy waits, and finds the processor's caches and its table of pages taken by others; Python jumps
about in 200 MB of objects, and in a virtual machine every page that has to be found again takes two dozen reads. With
pages of 2 MiB instead of 4 KiB there is little to find: a miss is on its way half a millisecond sooner (2.9 ms instead
of 3.4, medians of six rounds in turns), and little memory is added, for these parts of the heap are full.

One rule: this is asked for, not needed. Where a system knows nothing of it, everything stays as it is.
"""

import ctypes
import sys
from pathlib import Path

__all__ = ["use_huge_pages"]

_MAPS = Path("/proc/self/smaps")
_COLLAPSE = 25
"""MADV_COLLAPSE of Linux 6.1; older ones refuse it. Source: madvise(2)."""


def use_huge_pages(maps: Path = _MAPS) -> int:
    """Move what of the heap is mostly in use to huge pages, for now and once; the bytes that this was asked for.

    Takes a third of a second for 200 MB, or some on a busy machine; other threads go on until they touch new memory.
    `maps` as in proc_pid_smaps(5).
    """
    if sys.platform != "linux":
        return 0
    try:
        ranges = _full_ranges(maps.read_text())
        madvise = ctypes.CDLL(None).madvise
    except (OSError, ValueError, AttributeError):
        return 0
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for start, size in ranges:
        madvise(start, size, _COLLAPSE)
    return sum(size for _, size in ranges)


def _full_ranges(smaps: str) -> list[tuple[int, int]]:
    """Address and size, in bytes, of private writable memory without a file, seven eighths of which are in use: not a
    thread's stack, most of which never will be, and nothing where much was given back."""
    ranges = []
    start = size = 0
    for line in smaps.splitlines():
        name, *values = line.split()
        if not name.endswith(":"):
            low, _, high = name.partition("-")
            mode, _, _, inode, *path = values
            start, size = int(low, 16), int(high, 16) - int(low, 16)
            if mode != "rw-p" or inode != "0" or path not in ([], ["[heap]"]):
                size = 0
        elif name == "Rss:" and size and int(values[0]) * 1024 * 8 >= size * 7:
            ranges.append((start, size))
    return ranges
