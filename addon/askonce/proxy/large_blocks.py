"""Large blocks of memory, given back as soon as they are free.

glibc takes blocks from 128 KiB on from the system, and gives them back, until the first one of up to 32 MiB was freed:
from then on it keeps all of that size for the next time (mallopt(3), M_MMAP_THRESHOLD). A body that grows while it is
read or decoded leaves several of them behind, in the arena of each thread: twelve bodies of 32 MiB took 210 MiB at most
and left 94, where 132 and 6 do.

One rule: this is asked for, not needed. Another C library is left as it is.
"""

import ctypes

__all__ = ["give_back_large_blocks"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Source: malloc.h of glibc."""
_LARGE = 4 << 20
"""Bytes; what a call or the model allocates is smaller, and new pages for each would cost more than is gained."""


def give_back_large_blocks() -> bool:
    """Have malloc keep no free block of 4 MiB or more; whether it knows what was asked."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    # The second follows the first by itself, but not where the first was set.
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGE)) and bool(mallopt(_M_TRIM_THRESHOLD, 2 * _LARGE))
