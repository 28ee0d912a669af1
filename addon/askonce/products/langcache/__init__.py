"""LangCache: caches that a program fills and searches itself."""
