"""JSON of callers and providers: read and written without a digit lost (`values`), and compared (`differences`)."""

from askonce.jsontext.values import (
    ExactNumber,
    NotJson,
    canonical,
    dumps,
    encodable,
    is_number,
    line_safe,
    loads,
    rfc3339,
    shortened,
)

__all__ = [
    "ExactNumber",
    "NotJson",
    "canonical",
    "dumps",
    "encodable",
    "is_number",
    "line_safe",
    "loads",
    "rfc3339",
    "shortened",
]
