"""The house in order: a type name stands for one thing, and nothing long stands twice."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import askonce

MODULES = sorted(Path(askonce.__file__).parent.rglob("*.py"))
LONGEST = 12
"""Lines that may stand again elsewhere."""


def types_of(tree: ast.Module) -> Iterator[str]:
    """The names of the classes and types that a module defines at its top."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.TypeAlias):
            yield node.name.id


def test_a_type_name_is_defined_in_one_module() -> None:
    places = defaultdict[str, list[str]](list)
    for module in MODULES:
        for name in types_of(ast.parse(module.read_text("utf-8"))):
            places[name].append(str(module))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_no_long_run_of_lines_stands_twice() -> None:
    places = defaultdict[tuple[str, ...], list[str]](list)
    for module in MODULES:
        lines = module.read_text("utf-8").splitlines()
        for start in range(len(lines) - LONGEST):
            places[tuple(lines[start : start + LONGEST + 1])].append(f"{module}:{start + 1}")
    assert [found for found in places.values() if len(found) > 1] == []
