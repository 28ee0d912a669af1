"""A start over damaged files: a proxy that runs, or one plain line. Nothing else, whatever the damage is."""

import asyncio
import logging
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from askonce import trust
from askonce.cache import Policy, StoreError
from askonce.call import Answer, Call
from askonce.network.api_keys import ApiKeyError, ApiKeys
from askonce.rules import ConfigError
from askonce.runtime import Runtime
from askonce.settings import Settings

RULES = """\
version: 1
upstreams:
  - {name: chat, hosts: [api.openai.com], paths: [/v1/chat/completions], wire: openai-chat}
"""


def call(prompt: str) -> Call:
    return Call("openai-chat", prompt, {"model": "m"}, model="m")


async def remember(runtime: Runtime, prompt: str) -> None:
    asked = call(prompt)
    identity = runtime.cache.identify(asked, host="api.openai.com", scope="sk-1")
    answer = Answer(b'{"answer":42}')
    where = {"upstream": "chat", "host": "api.openai.com"}
    await runtime.cache.remember(asked, identity, answer, **where, ttl=3600, upstream_seconds=1)


async def knows(runtime: Runtime, prompt: str) -> bool:
    asked = call(prompt)
    identity = runtime.cache.identify(asked, host="api.openai.com", scope="sk-1")
    found = runtime.cache.look_up_in_memory(identity, Policy()) or await runtime.cache.look_up(
        asked, identity, Policy()
    )
    return found.outcome == "exact"


def settings_in(folder: Path) -> Settings:
    return Settings("127.0.0.1", 8080, rules=folder / "rules.yaml", data=folder / "data", certs=folder / "certs")


async def start(settings: Settings) -> Runtime:
    """As `serve` does."""
    runtime = Runtime(settings)
    trust.ensure_ca(settings.certs, runtime.rules.host_names(), environ={})
    await runtime.warm_up()
    return runtime


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of a proxy that was killed: answers in database and log, a snapshot, a named store, a key."""
    folder, killed = tmp_path_factory.mktemp("used"), tmp_path_factory.mktemp("killed")
    (folder / "rules.yaml").write_text(RULES)

    async def use(begin: int) -> None:
        runtime = await start(settings_in(folder))
        for number in range(begin, begin + 20):
            await remember(runtime, f"What is question number {number}?")
            await knows(runtime, "Who wrote the book?")
        await runtime.named_stores.put("store", "a text", b"a value")
        ApiKeys(folder / "data").create("someone")
        if begin:
            shutil.copytree(folder, killed, dirs_exist_ok=True)
        await runtime.close()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("askonce.cache.store.embedded.index.indexes.SNAPSHOT_FROM", 4)
        for begin in (0, 20):
            asyncio.run(use(begin))
    assert (killed / "data" / "askonce.db-wal").stat().st_size > 4096
    return killed


def nothing(content: bytes) -> bytes:
    return b""


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def noise(content: bytes) -> bytes:
    return random.Random(1).randbytes(len(content))


def bad_head(content: bytes) -> bytes:
    return bytes(100) + content[100:]


def bad_middle(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + random.Random(2).randbytes(min(5000, middle)) + content[middle + min(5000, middle) :]


def bad_rest(content: bytes) -> bytes:
    return content[:64] + random.Random(3).randbytes(max(0, len(content) - 64))


def folder_instead(content: bytes) -> None:
    return None


type Damage = Callable[[bytes], bytes | None]
ANY: list[Damage] = [nothing, noise, folder_instead]
OF_DATABASES: list[Damage] = [*ANY, half, bad_head, bad_middle, bad_rest]
CASES = [
    *((file, damage) for file in ("data/askonce.db", "data/askonce.db-wal") for damage in OF_DATABASES),
    *((f"data/named-stores/{file}", damage) for file in ("askonce.db", "lock") for damage in ANY),
    *((f"data/{file}", damage) for file in ("lock", "secret", "index/*.npz") for damage in ANY),
    *(("data/gateway-keys.json", damage) for damage in (*ANY, half)),
    *((f"certs/{file}", damage) for file in ("mitmproxy-ca.pem", "mitmproxy-ca-cert.pem") for damage in (*ANY, half)),
    *((f"certs/{file}", noise) for file in ("mitmproxy-dhparam.pem", "askonce-bundle.pem", "askonce-truststore.p12")),
    *(("rules.yaml", damage) for damage in ANY),
]
NEEDED = ("data/secret", "certs/mitmproxy-ca.pem", "rules.yaml")
"""Files without which a start would do harm: other answers' names, another authority than programs trust."""
STOPS = (ConfigError, StoreError, trust.TrustError, OSError, ValueError)
"""What `serve` turns into its one line."""


@pytest.mark.parametrize(("file", "damage"), CASES)
async def test_each_damage_ends_in_a_running_proxy_or_in_one_line(
    used: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, file: str, damage: Damage
) -> None:
    folder = shutil.copytree(used, tmp_path / "proxy")
    [target] = folder.glob(file)
    damaged = damage(target.read_bytes())
    if damaged is None:
        target.unlink()
        target.mkdir()
    else:
        target.write_bytes(damaged)
    settings = settings_in(folder)
    try:
        runtime = await start(settings)
    except STOPS as error:
        assert "\n" not in str(error) or isinstance(error, ConfigError), str(error)
        assert target.name in str(error) or str(target.parent) in str(error), str(error)
        assert damage is folder_instead or file in NEEDED, f"nothing that a start needs: {error}"
        return
    # mitmproxy ends a start in which an error was logged.
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == []
    try:
        await remember(runtime, "Does it go on?")
    except StoreError:
        assert damage is folder_instead and runtime.accounting.faults()["store"] == 1
    else:
        assert await knows(runtime, "Does it go on?")
    try:
        assert all(not key.revoked for key in runtime._keys.all())
    except ApiKeyError as error:
        assert "gateway-keys.json" in str(error)
    await runtime.close()


async def test_a_proxy_whose_files_are_whole_knows_what_it_knew(used: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(used, tmp_path / "proxy")
    runtime = await start(settings_in(folder))
    assert all([await knows(runtime, f"What is question number {number}?") for number in range(40)])
    assert await runtime.named_stores.count("store") == 1
    await runtime.close()


async def test_a_folder_that_cannot_be_made_is_one_line(used: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = replace(settings_in(used), data=tmp_path / "file" / "data")
    with pytest.raises(StoreError, match="cannot be made"):
        Runtime(settings)


READ_ONLY = """
import os, sys
from pathlib import Path
from askonce.cli import main
sys.argv = ["askonce", "serve", "--listen", "127.0.0.1:0", *sys.argv[1:]]
main()
"""


@pytest.mark.skipif(not shutil.which("setpriv"), reason="root may write anywhere, unless setpriv takes that away")
@pytest.mark.parametrize("folder", ["data", "data/named-stores", "certs", "nothing/yet"])
def test_a_folder_that_cannot_be_written_is_one_line(used: Path, tmp_path: Path, folder: str) -> None:
    proxy = shutil.copytree(used, tmp_path / "proxy")
    target = proxy / folder
    target.mkdir(parents=True, exist_ok=True)
    (target if folder != "nothing/yet" else target.parent).chmod(0o500)
    data = target / "data" if folder == "nothing/yet" else proxy / "data"
    named = ["--data", data, "--certs", proxy / "certs", "--rules", proxy / "rules.yaml"]
    for file in target.glob("*"):
        file.chmod(0o500 if file.is_dir() else 0o400)
    if folder == "nothing/yet":
        target.chmod(0o500)
    without = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    started = subprocess.run(
        [*without, sys.executable, "-c", READ_ONLY, *map(str, named)], capture_output=True, text=True, timeout=120
    )
    said = [line for line in started.stderr.splitlines() if "no management token" not in line]
    assert started.returncode == 1, started.stderr
    assert len(said) == 1 and said[0].startswith("askonce: ") and "denied" in said[0], said
    assert str(target if folder != "nothing/yet" else data) in said[0]
