"""The HTTP API on the reserved host."""
