"""The heap on huge pages: what is moved, that nothing in it changes, and that nothing breaks where it cannot be."""

import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from askonce.proxy import addon
from askonce.proxy.huge_pages import use_huge_pages
from askonce.runtime import Runtime
from askonce.settings import Settings, Worker

_SMAPS = """\
55d000000000-55d000400000 rw-p 00000000 00:00 0                          [heap]
Size:               4096 kB
Rss:                4000 kB
VmFlags: rd wr mr mw me ac sd
7f0000000000-7f0000800000 rw-p 00000000 00:00 0
Size:               8192 kB
Rss:                  64 kB
7f1000000000-7f1000400000 rw-p 00400000 fd:00 4711                       /usr/lib/libpython3.13.so
Size:               4096 kB
Rss:                4096 kB
7f2000000000-7f2000200000 r--p 00000000 00:00 0
Size:               2048 kB
Rss:                2048 kB
7ffc00000000-7ffc00200000 rw-p 00000000 00:00 0                          [stack]
Size:               2048 kB
Rss:                2048 kB
"""
"""A heap, a thread's stack, a library's data, constants, the main stack. Addresses that are nobody's."""

linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has huge pages that a program can ask for")


def _on_huge_pages() -> int:
    found = re.search(r"AnonHugePages: *(\d+) kB", Path("/proc/self/smaps_rollup").read_text())
    return int(found[1]) * 1024 if found else 0


@linux
def test_only_a_heap_that_is_in_use_is_moved(tmp_path: Path) -> None:
    maps = tmp_path / "smaps"
    maps.write_text(_SMAPS)
    assert use_huge_pages(maps) == 4 << 20


@linux
def test_what_is_there_stays_as_it_is() -> None:
    things = [str(number) for number in range(500_000)]
    asked, huge = use_huge_pages(), _on_huge_pages()
    assert asked > 16 << 20
    assert things == [str(number) for number in range(500_000)]
    if not huge:
        pytest.skip("this kernel has no huge pages to give, or none that a program can ask for")
    assert huge >= 16 << 20


@pytest.mark.parametrize("text", [None, "", "what is this?", "a-b rw-p\n", "zz-1 rw-p 0 00:00 0\nRss: x kB\n"])
def test_where_the_system_says_nothing_of_use_nothing_happens(tmp_path: Path, text: str | None) -> None:
    maps = tmp_path / "smaps"
    if text is not None:
        maps.write_text(text)
    assert use_huge_pages(maps) == 0


@pytest.mark.parametrize("worker", [None, Worker(1, Path())])
def test_one_of_several_copies_nothing_that_they_share(monkeypatch: pytest.MonkeyPatch, worker: Worker | None) -> None:
    moved: list[int] = []
    monkeypatch.setattr(addon, "use_huge_pages", lambda: moved.append(1))
    proxy = addon.Askonce(Settings.from_env(environ={}))
    proxy.runtime = cast(Runtime, SimpleNamespace(settings=SimpleNamespace(worker=worker)))
    proxy._settle()
    assert bool(moved) is (worker is None)
