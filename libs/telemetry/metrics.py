"""Serves this process's metrics over HTTP, in the text format that Prometheus reads."""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import start_http_server


@contextmanager
def serve_metrics(host: str, port: int) -> Iterator[None]:
    """Answer every path of `port` with the metrics, from a thread, until the context ends; port 0 serves none."""
    if not port:
        yield
        return
    server, thread = start_http_server(port, host)
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
