"""Whether an answer may be given again: what that is learned from, and how often it is right on held-out domains."""
