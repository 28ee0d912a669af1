"""What a cache learns of its own decisions."""
