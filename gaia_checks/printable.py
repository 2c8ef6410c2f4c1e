"""Text of others, as a terminal and the ledger may have it. Pure."""


def printable(text: object) -> str:
    """Return `text` in one line, with every character that steers a terminal or reorders text written as an escape."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in str(text))
