"""The command line: one file per group of commands.

One rule: `askonce --help` reads nothing heavy, so commands import what they need when they run; and every failure is
one clear line on stderr, with exit code 2 where the input was wrong and 1 where something else was.
"""

import os
import sys
import warnings
from typing import TYPE_CHECKING, Any

from askonce.cli import plain_serve

if TYPE_CHECKING:
    from askonce.cli.commands import app

__all__ = ["app", "main"]

_INTERRUPTED = 130
"""The exit code of a shell's command that Ctrl-C ended."""


def __getattr__(name: str) -> Any:
    """`app`, for whoever asks for it: most proxies are started without."""
    if name == "app":
        from askonce.cli.commands import app

        return app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def main() -> None:
    """The console entry."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # they are for developers of the libraries
    try:
        if (options := plain_serve.plain_options(sys.argv[1:])) is not None:
            sys.exit(plain_serve.serve(**options))
        from askonce.cli.commands import app

        app(prog_name="askonce")
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    except Exception as error:
        if os.environ.get("ASKONCE_DEBUG"):
            raise
        print(f"askonce: {_message(error)}", file=sys.stderr)  # noqa: T201
        sys.exit(_code(error))


def _message(error: Exception) -> str:
    if type(error).__module__.startswith("askonce."):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    return f"internal error: {type(error).__name__}: {error} (ASKONCE_DEBUG=1 shows where)"


def _code(error: Exception) -> int:
    code = getattr(error, "code", None)
    if isinstance(code, int):
        return code
    return 2 if isinstance(error, ValueError) and type(error).__module__.startswith("askonce.") else 1
