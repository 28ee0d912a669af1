"""The life of a call: whose it is, what it asks, what it is answered, what is kept of it."""
