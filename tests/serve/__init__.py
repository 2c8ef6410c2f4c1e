"""The live page of all environments, over real HTTP and in a real browser."""
