"""The nearest vectors: of one partition, and the indexes of all that are in memory."""
