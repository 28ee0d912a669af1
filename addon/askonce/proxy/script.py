"""Askonce in a mitmproxy of your own: `mitmdump -s addon/askonce/proxy/script.py`.

One rule: nothing is made before mitmproxy asks for the addons, so that importing this file starts nothing.
"""

from collections.abc import Iterable

from askonce.proxy.addon import Askonce


def __getattr__(name: str) -> Iterable[object]:
    """`addons`, made once: mitmproxy asks for them again and again."""
    if name == "addons":
        made = globals()[name] = [Askonce()]
        return made
    raise AttributeError(name)
