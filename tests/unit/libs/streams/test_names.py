from libs.streams.names import StreamName, dead_key, lease_key, replay_key


def test_a_streams_name_is_read_back() -> None:
    name = StreamName("BLR", 1_764_000_000)
    assert StreamName.parse(str(name)) == name
    assert StreamName.parse(replay_key("BLR", "cache")) is None
    assert StreamName.parse("lastmile:events:streams") is None


def test_all_keys_of_a_city_are_on_one_node_of_a_cluster() -> None:
    keys = [str(StreamName("BLR", 1)), replay_key("BLR", "g"), dead_key("BLR", "g"), lease_key("BLR", "g")]
    assert all("{BLR}" in key for key in keys)


def test_later_epochs_sort_after_earlier_ones() -> None:
    assert min(StreamName("BLR", 10), StreamName("BLR", 9)).epoch == 9
