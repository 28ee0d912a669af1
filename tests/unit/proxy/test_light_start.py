"""What a process that serves does first, in one of its own."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("everything", [False, True])
def test_the_collector_rests_and_what_is_hardly_used_waits(everything: bool) -> None:
    code = (
        "import gc, os, sys\n"
        "from askonce.proxy.light_start import load_lightly\n"
        f"load_lightly(all_of_mitmproxy={everything})\n"
        "import mitmproxy.command\n"
        f"assert ('pyparsing.core' in sys.modules) is {everything}\n"
        "assert not gc.isenabled() and os.environ['PYDANTIC_DISABLE_PLUGINS'] == '__all__'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
