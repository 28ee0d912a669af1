"""Finished calls as OpenTelemetry's traces and metrics, where the usual `OTEL_*` variables ask for them.

One rule: nothing of OpenTelemetry's SDK is imported, nor installed, unless it is asked for. The event loop hands over
what accounting has already; all else is done in a thread, and what does not fit its queue is left out and counted.
"""

import logging
import os
import queue
import threading
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

from askonce.accounting import CallRecord
from askonce.faults import Faults

if TYPE_CHECKING:
    from askonce.accounting.telemetry.export import Exporter

__all__ = ["Telemetry"]

logger = logging.getLogger("askonce")

_WAITING = 4096
"""Finished calls that may wait to be exported."""
_NOT_INSTALLED = (
    "the environment asks for OpenTelemetry (OTEL_*), and askonce[otel] is not installed (%s); nothing is exported"
)


def signals(environ: Mapping[str, str] = os.environ) -> frozenset[str]:
    """Which of "traces" and "metrics" the environment asks for; none, where it does not speak of OTLP at all."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return frozenset()
    return frozenset(signal for signal in ("traces", "metrics") if _is_asked_for(signal.upper(), environ))


def _is_asked_for(signal: str, environ: Mapping[str, str]) -> bool:
    exporters = environ.get(f"OTEL_{signal}_EXPORTER", "").strip()
    if exporters:
        return "otlp" in [name.strip() for name in exporters.split(",")]
    return any(environ.get(f"OTEL_EXPORTER_OTLP_{part}ENDPOINT", "").strip() for part in ("", f"{signal}_"))


class Telemetry:
    """Exports in a thread of its own. `record` may be called from any."""

    def __init__(self, load: "Callable[[], Exporter]", faults: Faults, *, traces: bool = False) -> None:
        """`load` makes the exporter, in the thread. `traces`: it exports spans."""
        self.traces = traces
        self._records = queue.Queue[tuple[CallRecord, str] | None](_WAITING)
        self._faults = faults
        self._thread = threading.Thread(target=self._work, args=(load,), name="askonce-telemetry", daemon=True)
        self._thread.start()

    @classmethod
    def asked_for(cls, version: str, faults: Faults, environ: Mapping[str, str] = os.environ) -> "Telemetry | None":
        """What the environment asks for; None for nothing, and where the SDK for it is not installed."""
        asked = signals(environ)
        if not asked:
            return None
        # A package's spec is found by importing its parent, which may be missing itself.
        missing = next((name for name in ("opentelemetry", "opentelemetry.sdk") if find_spec(name) is None), None)
        if missing:
            logger.warning(_NOT_INSTALLED, f"no {missing}")
            return None

        def load() -> "Exporter":
            from askonce.accounting.telemetry.export import Exporter

            return Exporter(asked, version)

        return cls(load, faults, traces="traces" in asked)

    def record(self, call: CallRecord, model: str) -> None:
        """Hand over a finished call; `model` is its model as a label of few values."""
        try:
            self._records.put_nowait((call, model))
        except queue.Full:
            self._faults.report(
                "telemetry", BufferError("calls end faster than they are exported"), "some are left out"
            )

    def close(self) -> None:
        """Export what was handed over, and end. Waits for it as long as the exporter may take."""
        self._records.put(None)
        self._thread.join()

    def _work(self, load: "Callable[[], Exporter]") -> None:
        exporter = self._loaded(load)
        while (handed := self._records.get()) is not None:
            if exporter is None:
                continue
            try:
                exporter.add(*handed)
            except Exception as error:  # fail open: the call is over
                self._faults.report("telemetry", error, "a call is in no trace")
        if exporter:
            exporter.close()

    def _loaded(self, load: "Callable[[], Exporter]") -> "Exporter | None":
        try:
            return load()
        except ImportError as error:
            logger.warning(_NOT_INSTALLED, error)
        except Exception as error:
            self._faults.report("telemetry", error, "nothing is exported")
        return None
