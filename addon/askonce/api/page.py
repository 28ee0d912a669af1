"""The page for people. Its files are in `static/`: plain modules, with Preact and htm in `vendor/`, and no build step.

The rule: it has nothing but the documented API, with the caller's own token; no script and no style stands in its
markup, so that nothing which a prompt brings along can run.
"""

from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from starlette.staticfiles import StaticFiles

from askonce.api.errors import RESPONSES

__all__ = ["POLICY", "mount"]

_FILES = Path(__file__).with_name("static")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def mount(app: FastAPI) -> None:
    """Serve it at `/`, and its files below `/page`."""

    @app.get("/", tags=["page"], response_class=FileResponse, responses=RESPONSES)
    async def status_page() -> FileResponse:
        """A page for people: what was asked and saved, every call and why, and the answers kept."""
        return FileResponse(_FILES / "index.html", headers={"content-security-policy": POLICY})

    app.mount("/page", StaticFiles(directory=_FILES))
