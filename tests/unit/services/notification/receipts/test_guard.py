"""A client gets its share, and nothing of that of another."""

import pytest

from services.notification.providers.outgoing import ReceiptError
from services.notification.receipts.guard import ClientGuard


def test_a_client_gets_so_many_a_second() -> None:
    now_s = 0.0
    guard = ClientGuard(at_once_max=9, per_s_max=2, clients_max=10, now_s=lambda: now_s)
    for _ in range(2):
        with guard.admitted("a"):
            pass
    with pytest.raises(ReceiptError, match="too_many"), guard.admitted("a"):
        pass
    with guard.admitted("b"):
        pass
    now_s = 1.0
    with guard.admitted("a"):
        pass


def test_a_client_gets_so_many_at_once() -> None:
    guard = ClientGuard(at_once_max=1, per_s_max=100, clients_max=10)
    with guard.admitted("a"):
        with pytest.raises(ReceiptError, match="too_many"), guard.admitted("a"):
            pass
        with guard.admitted("b"):
            pass
    with guard.admitted("a"):
        pass


def test_no_more_clients_are_remembered_than_may_be() -> None:
    guard = ClientGuard(at_once_max=1, per_s_max=1, clients_max=3, now_s=lambda: 0.0)
    for number in range(100):
        with guard.admitted(f"client {number}"):
            pass
    assert guard.known == 3
