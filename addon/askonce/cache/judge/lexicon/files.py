"""How a file of the lexicon is read: the forms in which a linguist writes words down.

UTF-8, lower case. A line that begins with "#" is a comment, an empty line is nothing. Each file opens with a comment
that says what it is, its form and its rule. One rule: a mistake is told with its file and line, never passed over.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = ["LexiconError", "groups", "leaders", "meanings", "named", "pairs", "words"]


class LexiconError(ValueError):
    """A mistake in a file of the lexicon; the message says where, what stands there and what was expected."""


def words(path: Path) -> list[str]:
    """Words between blanks, each once, in the order of the file."""
    found: dict[str, None] = {}
    for number, line in _lines(path):
        for word in line.split():
            if word in found:
                raise _mistake(path, number, f'"{word}" stands here twice')
            found[word] = None
    return list(found)


def pairs(path: Path) -> list[tuple[str, str]]:
    """Two words with a slash between; pairs between blanks, each once."""
    found: dict[tuple[str, str], None] = {}
    for number, line in _lines(path):
        for pair in line.split():
            left, _, right = pair.partition("/")
            if not (left and right) or "/" in right:
                raise _mistake(path, number, f'"{pair}" is no pair; expected two words with one "/" between them')
            if (left, right) in found:
                raise _mistake(path, number, f'"{pair}" stands here twice')
            found[left, right] = None
    return list(found)


def groups(path: Path, *, least: int = 1) -> list[list[str]]:
    """A group on each line, of `least` words or more, none of them twice."""
    found = []
    for number, line in _lines(path):
        group = line.split()
        if len(group) < least:
            raise _mistake(path, number, f'"{line}" is no group; expected at least {least} words')
        if len(set(group)) < len(group):
            raise _mistake(path, number, f'"{line}" has a word twice')
        found.append(group)
    return found


def leaders(path: Path) -> dict[str, str]:
    """A group on each line, by the word, which is in one group only: the first of its group."""
    found: dict[str, str] = {}
    for number, line in _lines(path):
        group = line.split()
        for word in group:
            if word in found:
                raise _mistake(path, number, f'"{word}" stands here twice')
            found[word] = group[0]
    return found


def named(path: Path) -> dict[str, list[str]]:
    """A name, a colon and words on each line: the words by the name, which may stand on several lines."""
    found: dict[str, list[str]] = {}
    for number, name, members in _named_lines(path):
        known = found[name] = found.get(name, []) + members
        if len(set(known)) < len(known):
            raise _mistake(path, number, f'"{name}" has a word twice')
    return found


def meanings[M](path: Path, of: Callable[[str], M]) -> dict[str, M]:
    """The same lines, by the word, which has one name only: what `of` makes of that name."""
    found: dict[str, M] = {}
    for number, name, members in _named_lines(path):
        try:
            meaning = of(name)
        except ValueError:
            raise _mistake(path, number, f'"{name}" is no number') from None
        for word in members:
            if word in found:
                raise _mistake(path, number, f'"{word}" stands here twice')
            found[word] = meaning
    return found


def _named_lines(path: Path) -> Iterator[tuple[int, str, list[str]]]:
    for number, line in _lines(path):
        name, _, rest = line.partition(":")
        members = rest.split()
        if not (name and members):
            raise _mistake(path, number, f'"{line}" has no name or no words; expected "name: word word"')
        yield number, name, members


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that say something, with their numbers."""
    for number, line in enumerate(path.read_bytes().decode().splitlines(), 1):
        if line and line[0] != "#":
            if line != line.lower():
                raise _mistake(path, number, f'"{line}" has capitals; expected lower case')
            yield number, line


def _mistake(path: Path, number: int, what: str) -> LexiconError:
    return LexiconError(f"{path.parent.name}/{path.name}, line {number}: {what}")
