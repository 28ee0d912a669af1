"""What came to the proxy and became no call.

The rule: it says what was seen; what is to be done about it is for `askonce doctor` to say.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from fastapi import APIRouter
from fastapi.params import Depends
from pydantic import BaseModel, Field

from askonce.api.errors import RESPONSES
from askonce.network.strays import StrayKind, Strays

__all__ = ["router"]


class OneStray(BaseModel):
    kind: StrayKind = Field(
        description="`foreign`: to a host that no rule names. `own`: a tunnel to Askonce. `untrusted`: a client left "
        "at the proxy's certificate. `unmatched`: to a rule's host, and no rule takes it. `unreachable`: no connection "
        "to a server."
    )
    place: str = Field(description="HOST:PORT.")
    detail: str = Field(description="The method and the path, or the reason.")
    count: int
    last: datetime


class AllStrays(BaseModel):
    """The last hundred of each kind, the newest first."""

    connections: int = Field(description="Of clients, that are open now; this one is among them.")
    strays: list[OneStray]


def router(strays: Strays, *, protected: Sequence[Depends]) -> APIRouter:
    """The route /v1/strays."""
    routes = APIRouter(tags=["statistics"], dependencies=protected, responses=RESPONSES)

    @routes.get("/v1/strays")
    async def list_strays() -> AllStrays:
        """What came to the proxy and became no call: why nothing is answered."""
        return AllStrays(
            connections=strays.connections,
            strays=[
                OneStray(
                    kind=one.kind,
                    place=one.place,
                    detail=one.detail,
                    count=one.count,
                    last=datetime.fromtimestamp(one.last, UTC),
                )
                for one in strays.newest_first()
            ],
        )

    return routes
