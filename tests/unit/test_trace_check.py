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


def test_two_pending_lpis_in_the_other_order_are_a_tie():
    answer = check(recording(), [(0, 8192, 8193, 6), (0, 8193, 8192, 7)])
    assert answer.same_multiset
    assert answer.reasons == {"tie": 2}
    assert answer.share_in_order == 0


def test_an_acknowledge_logged_just_before_its_msi_is_told_apart():
    answer = check(recording(), [(0, 8192, 8192, 6), (0, 8193, 8193, 7), (0, 8194, 0, 8)])
    assert answer.reasons == {"log order": 1}
    assert answer.differences == {(0, 8194): -1}
    assert not answer.same_multiset


def test_a_lost_and_an_invented_lpi_are_found():
    answer = check(recording(), [(0, 8192, 0, 6), (1, 8193, 9000, 7)])
    assert answer.reasons == {"missing": 1, "unexplained": 1}
    assert answer.differences == {(0, 8192): -1, (1, 8193): -1, (1, 9000): 1}
    assert str(answer.mismatches[0]) == "line 6: vCPU 0 acknowledged 0x2000, the engine gave nothing (missing)"


def test_an_lpi_on_another_vcpu_is_not_the_same_multiset():
    assert not check(recording(), [(0, 8192, 8193, 6), (1, 8193, 8192, 7)]).same_multiset


def test_nothing_acknowledged_is_a_match():
    assert check(recording(), []).share_in_order == 1.0
