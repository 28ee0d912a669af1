"""Free memory, given back to the system.

glibc takes blocks from 128 KiB on from the system, and gives them back, until the first one of up to 32 MiB was freed:
from then on it keeps all of that size for the next time (mallopt(3), M_MMAP_THRESHOLD). A body that grows while it is
read or decoded leaves several of them behind, in the arena of each thread: twelve bodies of 32 MiB took 210 MiB at most
and left 94, where 132 and 6 do. And a thread's arena keeps what was freed between two blocks that are in use: what a
start loads in six threads left 10 MiB of such holes, in one arena it leaves none; the interpreter's own lock lets few
threads ask for memory at once.

One rule: this is asked for, not needed. Another C library is left as it is.
"""

import ctypes

__all__ = ["give_back_all", "give_back_large_blocks"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""Source: malloc.h of glibc."""
_LARGE = 4 << 20
"""Bytes; what a call or the model allocates is smaller, and new pages for each would cost more than is gained."""


def give_back_large_blocks() -> bool:
    """Have malloc keep no free block of 4 MiB or more, and one arena for all threads; whether it knows what was asked.

    Before threads are started: each keeps the arena that it has.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    # The second follows the first by itself, but not where the first was set.
    asked = ((_M_MMAP_THRESHOLD, _LARGE), (_M_TRIM_THRESHOLD, 2 * _LARGE), (_M_ARENA_MAX, 1))
    known = [mallopt(option, value) for option, value in asked]
    return all(known)


def give_back_all() -> bool:
    """Give back every free page now: what loading took for a while; whether there were any."""
    try:
        return bool(ctypes.CDLL(None).malloc_trim(0))
    except (OSError, AttributeError, TypeError):
        return False
