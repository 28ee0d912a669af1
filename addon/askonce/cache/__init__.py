"""What may be equal, what is near, whether it is the same question, and where answers are kept."""
