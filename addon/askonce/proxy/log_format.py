"""How the log is written: lines for people, or one JSON object a line for programs that gather logs."""

import logging
from collections.abc import Callable

import orjson

from askonce.jsontext import rfc3339
from askonce.settings import LogFormat

__all__ = ["formatter", "log_to_stderr"]


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": rfc3339(record.created, "milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps({name: text.encode(errors="replace").decode() for name, text in line.items()}).decode()


_FORMATTERS: dict[LogFormat, Callable[[], logging.Formatter]] = {
    "text": lambda: logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%Y-%m-%d %H:%M:%S"),
    "json": _Json,
}


def formatter(log_format: LogFormat) -> logging.Formatter:
    """What writes a record."""
    return _FORMATTERS[log_format]()


def log_to_stderr(log_format: LogFormat) -> None:
    """Have this process write what it has to say: warnings of all, and what Askonce does."""
    handler = logging.StreamHandler()
    handler.setFormatter(formatter(log_format))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("askonce").setLevel(logging.INFO)
