"""What names cannot express of our server: one request, answer or message at a time, in and out of the contract.

It is used once `adapter = "adapters/ours.py"` stands in the environment file. Remove what does not differ.
"""

from typing import Any

from gaia_checks.contract.adapter import Adapter, HttpAnswer, HttpRequest


class Ours(Adapter):
    """Translates; it cannot send, wait, or return a measurement."""

    def request(self, request: HttpRequest) -> HttpRequest:
        """Return a request of the contract as our server understands it, e.g. with another header for the token."""
        return request

    def answer(self, request: HttpRequest, answer: HttpAnswer) -> HttpAnswer:  # noqa: ARG002 - the example needs no more
        """Return our server's answer as the contract has it, e.g. a list as {"items": [...], "total": 1}."""
        return answer

    def message(self, message: dict[str, Any]) -> dict[str, Any]:
        """Return a WebSocket message of our server as the contract has it, e.g. its `ping` as `heartbeat`."""
        return message

    def reply(self, message: dict[str, Any]) -> dict[str, Any] | None:  # noqa: ARG002 - the example needs no more
        """Return what our server expects after a message, None for nothing."""
        return None
