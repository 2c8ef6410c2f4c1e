"""Decide: criteria x measurements -> verdict. Opens no file but criteria.toml, reads no clock."""
