from libs.resilience.rate import Rate


def test_so_many_a_second_and_no_more_at_once_than_a_seconds_worth() -> None:
    now_s = [0.0]
    rate = Rate(10, lambda: now_s[0])
    assert sum(rate.take() for _ in range(50)) == 10
    now_s[0] = 0.5
    assert sum(rate.take() for _ in range(50)) == 5
    now_s[0] = 100.0
    assert sum(rate.take() for _ in range(50)) == 10
