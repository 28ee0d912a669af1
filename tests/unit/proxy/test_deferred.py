"""What mitmproxy imports and nobody uses waits until it is touched."""

import subprocess
import sys

_CODE = """
import sys, warnings
warnings.simplefilter("ignore")  # ldap3 finds fault with its library
import askonce.proxy.master
assert not {"flask", "ldap3", "ruamel.yaml.main"} & sys.modules.keys()

from mitmproxy import addons, options
from mitmproxy import optmanager
optmanager.dump_defaults(options.Options(), sys.stderr)
assert "ruamel.yaml.main" in sys.modules
assert len(addons.default_addons()) > 20
assert {"flask", "ldap3"} <= sys.modules.keys()
"""


def test_it_is_there_once_it_is_used_and_not_before() -> None:
    done = subprocess.run([sys.executable, "-c", _CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "confdir" in done.stderr


def test_asking_twice_asks_once() -> None:
    from askonce.proxy import deferred

    before = list(sys.meta_path)
    deferred.defer()
    assert sys.meta_path == before
