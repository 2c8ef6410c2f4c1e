"""uvicorn's HTTP protocol with the bound it lacks: a request's head may not grow for ever."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD = 32 * 1024


class BoundedHttpProtocol(HttpToolsProtocol):
    """Refuses a request whose path and headers are longer than MAX_HEAD bytes."""

    _head: int | None = None  # bytes of a head that is not complete; None outside one

    def data_received(self, data: bytes) -> None:
        """Take what came; give up on a head that does not end."""
        if self._head is not None:
            self._head += len(data)
            if self._head > MAX_HEAD:
                self.send_400_response(f"The request's head is longer than {MAX_HEAD} bytes.")
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """Begin to count."""
        super().on_message_begin()
        self._head = 0

    def on_headers_complete(self) -> None:
        """Stop counting."""
        self._head = None
        super().on_headers_complete()
