"""What schemathesis is told of our media types; loaded by its own process, by the variable SCHEMATHESIS_HOOKS."""

import schemathesis

schemathesis.serializer.alias("application/jsonl", "text/plain")
