"""A server by somebody else: it keeps the contract's promises in words, shapes and ways of its own."""
