from tests.support.management import (  # noqa: F401  # fixtures
    accounting,
    cache,
    client,
    clock,
    connect,
    embedder,
    named_stores,
    remember,
)
