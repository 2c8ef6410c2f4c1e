"""The rate limit headers of a response."""

from gaia_server.limiting.decision import Decision


def headers(decision: Decision) -> dict[str, str]:
    """Return the headers of draft-ietf-httpapi-ratelimit-headers-10, and the X-RateLimit ones.

    `X-RateLimit-Reset` is in seconds since the epoch, on the database's clock.
    """
    if not decision.standings:
        return {}
    tightest = decision.tightest
    found = {
        "RateLimit-Policy": ", ".join(
            [f'"{s.rule_name}";q={s.limit_value};w={s.window_s}' for s in decision.standings]
        ),
        "RateLimit": ", ".join([f'"{s.rule_name}";r={s.remaining};t={s.reset_s}' for s in decision.standings]),
        "X-RateLimit-Limit": str(tightest.limit_value),
        "X-RateLimit-Remaining": str(tightest.remaining),
        "X-RateLimit-Reset": str(tightest.reset_epoch),
    }
    if not decision.admitted:
        found["Retry-After"] = str(max(tightest.reset_s, 1))
    return found
