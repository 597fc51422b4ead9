from libs.resilience.rate import Rate


def test_so_many_a_second_and_no_more_at_once_than_a_seconds_worth() -> None:
    now_s = [0.0]
    rate = Rate(10, lambda: now_s[0])
    assert sum(rate.take() for _ in range(50)) == 10
    now_s[0] = 0.5
    assert sum(rate.take() for _ in range(50)) == 5
    now_s[0] = 100.0
    assert sum(rate.take() for _ in range(50)) == 10


def test_less_than_one_a_second_is_one_now_and_then() -> None:
    now_s = [0.0]
    rate = Rate(0.2, lambda: now_s[0])
    taken = 0
    for second in range(21):
        now_s[0] = float(second)
        taken += rate.take()
    assert taken == 5


def test_none_a_second_is_none() -> None:
    now_s = [0.0]
    rate = Rate(0, lambda: now_s[0])
    now_s[0] = 1e6
    assert not rate.take()
