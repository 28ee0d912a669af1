"""Answers in a folder of this process's own: entries in SQLite, which is the truth, and indexes in memory."""
