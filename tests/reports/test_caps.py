from reports.caps import cap_of, stands_back, uncapped


def test_rows_of_a_task():
    assert [cap_of(name) for name in ("adult:sex@1000", "german", "a@20 · sensitive keep")] == [1000, None, 20]
    assert uncapped("adult:sex@1000 · sensitive keep") == "adult:sex · sensitive keep"


def test_a_task_on_fewer_rows_stands_back_for_the_whole():
    assert stands_back("a@10", ["a", "a@10"])
    assert not stands_back("a@10", ["b", "a@10"]) and not stands_back("a", ["a", "a@10"])
