"""The limiter's proof: fast, exact, and nothing lost. Each module with a `main` is a program."""
