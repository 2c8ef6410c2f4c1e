"""Text of others in messages: no line feed, no escape sequence, no end of one's own line. Pure."""


def printable(text: object) -> str:
    r"""Return `text` with everything escaped that is not printable: `a\x1b[2Kb`."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in str(text))
