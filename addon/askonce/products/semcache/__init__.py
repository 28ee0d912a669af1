"""Semcache: a proxy to wherever a header says, and a store read by meaning."""
