"""What is said to a proxy that plays a cassette. The rule: to any other, it changes nothing."""

from collections.abc import Callable, Sequence

from fastapi import APIRouter
from fastapi.params import Depends
from pydantic import BaseModel

from askonce.api.errors import RESPONSES

__all__ = ["router"]


class Rewound(BaseModel):
    message: str = "Calls are counted from the first again"


def router(rewind: Callable[[], None], *, protected: Sequence[Depends]) -> APIRouter:
    """The route /v1/cassette/rewind."""
    routes = APIRouter(tags=["cache"], dependencies=list(protected), responses=RESPONSES)

    @routes.post("/v1/cassette/rewind")
    async def rewind_cassette() -> Rewound:
        """A new test begins: a call that is asked now counts as asked for the first time."""
        rewind()
        return Rewound()

    return routes
