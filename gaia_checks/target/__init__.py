"""How anybody talks to the server under test."""
