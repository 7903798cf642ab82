"""Is this message wanted? Reputation, words and a judge that explains itself."""
