from libs.cache.kept import ENTRY_BYTES, KeptBytes


def test_there_is_room_again_when_answers_expire_or_are_kept_anew() -> None:
    now_s = [0.0]
    kept = KeptBytes(100 + 2 * ENTRY_BYTES, lambda: now_s[0])
    assert kept.add("a", 60, 10)
    assert not kept.add("b", 50, 10)
    now_s[0] = 5.0
    assert kept.add("a", 40, 10)
    assert kept.add("b", 60, 10)
    now_s[0] = 10.0
    assert not kept.add("c", 1, 10), "the first end of a is not its end any more"
    now_s[0] = 15.0
    assert kept.add("c", 100, 10)


def test_an_empty_answer_takes_room_too() -> None:
    kept = KeptBytes(10_000)
    assert sum(kept.add(str(key), 0, 60) for key in range(100)) == 10_000 // ENTRY_BYTES
