from vgic.trace import Recording, check


def recording():
    r = Recording("hand-made")
    r.append(1, 0, "mapti", 8, 0, 8192, 0)
    r.append(2, 0, "mapti", 8, 1, 8193, 0)
    r.append(3, 0, "mapti", 8, 2, 8194, 0)
    r.append(4, 100, "msi", 8, 0)
    r.append(5, 101, "msi", 8, 1)
    r.append(6, 200, "acknowledge", 0, 8192)
    r.append(7, 300, "acknowledge", 0, 8193)
    r.append(8, 400, "acknowledge", 0, 8194)
    r.append(9, 402, "msi", 8, 2)
    return r


def test_the_same_answers_are_a_whole_match():
    answer = check(recording(), [(0, 8192, 8192, 6), (0, 8193, 8193, 7), (0, 8194, 8194, 8)])
    assert (answer.in_order, answer.same_multiset, answer.share_in_order, answer.mismatches) == (3, True, 1.0, [])


def test_a_difference_without_a_reason_is_none_that_explains_it():
    answer = check(recording(), [(0, 8192, 8193, 6), (0, 8193, 8192, 7)])
    assert answer.same_multiset
    assert answer.reasons == {"unexplained": 2}
    assert answer.share_in_order == 0
    assert not answer.holds


def test_reasons_of_the_replay_explain_a_difference():
    answer = check(recording(), [(0, 8192, 8193, 6, "tie"), (0, 8193, 8193, 7, ""), (0, 8194, 0, 8, "log order")])
    assert answer.reasons == {"tie": 1, "log order": 1}
    assert (answer.in_order, answer.same_multiset, answer.holds) == (1, True, True)
    assert str(answer) == "1 of 3 acknowledges as recorded (33.33%), 1 log order, 1 tie"


def test_a_tie_with_what_the_recording_has_not_sent_is_none():
    answer = check(recording(), [(0, 8192, 8194, 6, "tie"), (0, 8193, 8193, 7, ""), (0, 8194, 0, 8, "log order")])
    assert answer.reasons == {"unexplained": 1, "log order": 1}
    assert answer.same_multiset
    assert not answer.holds
    answer = check(recording(), [(0, 8192, 8192, 6, ""), (0, 8193, 8192, 7, "tie")])
    assert answer.reasons == {"unexplained": 1}


def test_what_the_replay_could_not_take_is_missing_on_its_vcpu():
    answer = check(recording(), [(0, 8192, 0, 6, "missing"), (1, 8193, 9000, 7, "unexplained")])
    assert answer.differences == {(0, 8192): -1, (1, 8193): -1}
    assert not answer.same_multiset


def test_a_lost_and_an_invented_lpi_are_found():
    answer = check(recording(), [(0, 8192, 0, 6), (1, 8193, 9000, 7)])
    assert answer.reasons == {"missing": 1, "unexplained": 1}
    assert answer.differences == {(0, 8192): -1, (1, 8193): -1, (1, 9000): 1}
    assert str(answer.mismatches[0]) == "line 6: vCPU 0 acknowledged 0x2000, the engine gave nothing (missing)"


def test_an_lpi_on_another_vcpu_is_not_the_same_multiset():
    assert not check(recording(), [(0, 8192, 8193, 6), (1, 8193, 8192, 7)]).same_multiset


def test_what_is_pending_at_the_end_was_sent_since_it_was_taken_or_is_invented():
    answer = check(recording(), [(0, 8192, 8192, 6)], left=[(0, 8194), (1, 8193)])
    assert answer.left == 1
    assert answer.reasons == {"invented": 1}
    assert answer.differences == {(1, 8193): 1}
    assert not answer.holds
    assert str(answer.mismatches[0]) == (
        "at the end: vCPU 1 has INTID 0x2001 pending, which nothing has sent (invented)"
    )


def test_nothing_acknowledged_is_nothing_to_check():
    answer = check(recording(), [])
    assert answer.share_in_order is None
    assert not answer.holds
    assert str(answer) == "nothing to check: the recording has no acknowledge of an LPI"


def test_almost_all_is_not_all():
    rows = [(0, 8192, 8192, 6)] * 100_000 + [(0, 8192, 0, 6)]
    assert "100000 of 100001 acknowledges as recorded (99.99%), 1 missing" in str(check(recording(), rows))
