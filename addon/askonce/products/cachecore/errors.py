"""What Cachecore's errors look like, on calls and on its management routes alike."""

__all__ = ["problem"]

_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
}


def problem(status: int, message: str) -> dict[str, object]:
    """An error's body, as OpenAI's SDKs read it."""
    kind = _KINDS.get(status, "api_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}
