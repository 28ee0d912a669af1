"""Libraries that are imported with others and that most proxies never use, loaded when they are first touched.

`mitmproxy.addons` imports every addon there is, and with them Flask (for pages of its own) and ldap3 (to ask for
passwords); of thirty, Askonce runs seven. ruamel.yaml reads a configuration file of mitmproxy's that nobody has here,
regex, 8 MB of tables, serves `match` and `search` in a JSONPath, and jwt the tokens of one product.

One rule: nothing is left out or replaced. It is the way that Python's manual has for this, `importlib.util.LazyLoader`:
a module is there from its import on, and its code runs when one of its names is asked for.
"""

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

__all__ = ["defer"]

_ADDONS, _OTHERS = "mitmproxy.addons.", frozenset({"jwt", "regex", "ruamel.yaml"})


class _Deferring(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(_ADDONS) and fullname not in _OTHERS:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec and spec.loader:
            spec.loader = importlib.util.LazyLoader(spec.loader)
        return spec


def defer() -> None:
    """From now on; what is loaded already stays so."""
    if not any(isinstance(finder, _Deferring) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Deferring())
