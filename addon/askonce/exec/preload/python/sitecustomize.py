"""Makes aiohttp read the proxy's variables, which it does only for sessions made with trust_env=True.

On the path of every Python that `askonce exec` starts. One rule: whatever happens here, the program runs as it would
without it; so it is plain for old versions, takes itself off the path, and hands on to the sitecustomize it hides.
"""
# mypy: ignore-errors

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - Python 2 reads this file, too


def hand_on():
    """Import the sitecustomize that the machine has, if it has one."""
    sys.path[:] = [place for place in sys.path if os.path.abspath(place or ".") != HERE]  # noqa: PTH100
    ours = sys.modules.pop("sitecustomize", None)
    try:
        __import__("sitecustomize")
    except ImportError:
        if ours is not None:
            sys.modules["sitecustomize"] = ours


class Aiohttp:
    """Finds the module aiohttp.client once, and changes one default in it."""

    def find_spec(self, name, path=None, target=None):
        if name != "aiohttp.client":
            return None
        import importlib.util

        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and hasattr(spec.loader, "exec_module"):
            load = spec.loader.exec_module

            def exec_module(module):
                load(module)
                trust_environment(module.ClientSession)

            spec.loader.exec_module = exec_module
        return spec


def trust_environment(session):
    import functools

    init = session.__init__

    @functools.wraps(init)
    def __init__(self, *args, **kwargs):
        kwargs.setdefault("trust_env", True)
        init(self, *args, **kwargs)

    session.__init__ = __init__


if sys.version_info >= (3, 6):  # noqa: UP036 - Python 2 has another kind of finder
    sys.meta_path.insert(0, Aiohttp())
hand_on()
