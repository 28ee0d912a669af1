"""The store of answers of many proxies: PostgreSQL with pgvector."""
