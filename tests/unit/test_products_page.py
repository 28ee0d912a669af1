"""docs/products.md: every row has a test that there is, and every route of a product has a row."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import httpx
import pytest

from askonce import trust
from askonce.api.product_addresses import PREFIXES
from askonce.runtime import Runtime
from askonce.settings import Settings

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "products.md").read_text("utf-8")
HEADINGS = {
    "promptcache": "PromptCache",
    "semcache": "Semcache",
    "gateway": "Prometheus Gateway",
    "cachecore": "Cachecore",
    "langcache": "Redis LangCache",
}
_NODE = re.compile(r"`((?:tests/[\w/]+\.py)?)::(\w+)(?:\[[^`]*\])?`")


def sections() -> dict[str, list[tuple[str, str]]]:
    """Heading -> (what is stated, what proves it) of each row."""
    found: dict[str, list[tuple[str, str]]] = {}
    for part in PAGE.split("\n## ")[1:]:
        heading, _, text = part.partition("\n")
        lines = [line for line in text.splitlines() if line.startswith("|")]
        assert lines[:2] == ["| stated | proven by |", "|---|---|"], heading
        found[heading] = []
        for line in lines[2:]:
            stated, proof = (cell.strip() for cell in line.strip("|").split(" | ", 1))
            found[heading].append((stated, proof))
    return found


@cache
def functions_of(file: str) -> frozenset[str]:
    tree = ast.parse((REPOSITORY / file).read_text("utf-8"))
    return frozenset(
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    )


def named(proof: str) -> Iterator[tuple[str, str]]:
    file = ""
    for given, name in _NODE.findall(proof):
        file = given or file
        assert file, f"::{name} follows no file"
        yield file, name


def rows() -> list[tuple[str, str, str]]:
    return [(heading, *row) for heading, found in sections().items() for row in found]


def test_there_is_a_table_for_each_product() -> None:
    assert list(sections()) == [*HEADINGS.values(), "The views"]
    assert all(len(found) > 5 for found in sections().values())


@pytest.mark.parametrize(("heading", "stated", "proof"), rows(), ids=lambda value: value[:40])
def test_what_a_row_names_is_there(heading: str, stated: str, proof: str) -> None:
    tests = list(named(proof))
    assert tests, f"{heading}: {stated}: nothing proves it"
    assert re.sub(r"[\s,]", "", _NODE.sub("", proof)) == "", f"{heading}: {stated}: not a test: {proof}"
    for file, name in tests:
        assert name in functions_of(file), f"{heading}: {stated}: there is no {file}::{name}"


async def test_every_route_of_a_product_has_a_row(tmp_path: Path) -> None:
    settings = Settings(
        "127.0.0.1", 8080, rules=REPOSITORY / "rules.yaml", data=tmp_path / "data", certs=tmp_path / "certs"
    )
    trust.ensure_ca(settings.certs, ("api.openai.com",), environ={})
    runtime = Runtime(settings)

    async def reload() -> None: ...

    missing = []
    transport = httpx.ASGITransport(runtime.management(reload))
    async with httpx.AsyncClient(transport=transport, base_url="http://askonce.internal") as client:
        for prefix, view in PREFIXES.items():
            stated = " ".join(stated for stated, _ in sections()[HEADINGS[view]])
            for path, operations in (await client.get(f"{prefix}/openapi.json")).json()["paths"].items():
                for method in map(str.upper, operations):
                    if f"`{method} {path}`" not in stated:
                        missing.append(f"{HEADINGS[view]}: {method} {path}")
    await runtime.close()
    assert missing == []
