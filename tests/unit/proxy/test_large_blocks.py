"""Large blocks of memory: that they are given back, and that nothing breaks where that cannot be asked for."""

import subprocess
import sys

import pytest

from askonce.proxy import large_blocks
from askonce.proxy.large_blocks import give_back_all, give_back_large_blocks

_GROWN = """
import io, sys
from pathlib import Path
from askonce.proxy.large_blocks import give_back_large_blocks

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

give_back_large_blocks() or sys.exit(7)
before, kept = resident(), []
for _ in range(4):
    whole = io.BytesIO()
    for _ in range(96):
        whole.write(bytes(1 << 18))
        kept.append(bytes(100_000))  # what else is allocated meanwhile, and stays in the way
    del whole, kept[:-8]
print(resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_grew_and_is_free_is_no_longer_ours() -> None:
    ran = subprocess.run([sys.executable, "-c", _GROWN], capture_output=True, text=True)
    if ran.returncode == 7:
        pytest.skip("another C library than glibc")
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) < 16 << 20


def test_another_c_library_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_blocks.ctypes, "CDLL", lambda _: object())
    assert not give_back_large_blocks()
    assert not give_back_all()
