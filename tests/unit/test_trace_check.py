import dataclasses

import pytest

from vgic.trace import Recording, check
from vgic.trace.check import Mismatch


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


def tie(recording, answered, recorded=8200):
    """The reasons for the first acknowledge of a recording, which the replay calls a tie."""
    return check(recording, [(0, recorded, answered, 1, "tie")]).reasons


def test_an_event_that_is_mapped_already_keeps_its_lpi():
    """MAPTI of an event that is mapped does nothing in KVM (vgic_its_cmd_handle_mapi)."""
    r = Recording("mapped twice")
    r.append(1, 0, "mapti", 8, 0, 8192, 0)
    r.append(2, 0, "mapti", 8, 0, 8193, 0)
    r.append(3, 0, "mapi", 8, 0, 0)
    r.append(4, 0, "msi", 8, 0)
    r.append(5, 0, "acknowledge", 0, 8200)
    assert tie(r, 8192) == {"tie": 1}
    assert tie(r, 8193) == tie(r, 0) == {"unexplained": 1}


@pytest.mark.parametrize(
    ("kind", "operands"), [("discard", (8, 0)), ("mapd", (8, 4, 0)), ("its_tables", (1, 0)), ("reset", ())]
)
def test_an_event_that_was_unmapped_gets_the_lpi_that_it_is_mapped_to_next(kind, operands):
    r = Recording("mapped anew")
    r.append(1, 0, "mapti", 8, 0, 8192, 0)
    r.append(2, 0, "mapti", 8, 1, 8195, 0)
    r.append(3, 0, "mapti", 9, 0, 8196, 0)
    r.append(4, 0, kind, *operands)
    r.append(5, 0, "msi", 8, 0)
    r.append(6, 0, "mapti", 8, 0, 8193, 0)
    r.append(7, 0, "msi", 8, 0)
    r.append(8, 0, "msi", 8, 1)
    r.append(9, 0, "msi", 9, 0)
    r.append(10, 0, "acknowledge", 0, 8200)
    assert tie(r, 8193) == {"tie": 1}
    assert tie(r, 8192) == {"unexplained": 1}
    # DISCARD is of one event, and MAPD of one device.
    assert tie(r, 8195) == {"tie" if kind == "discard" else "unexplained": 1}
    assert tie(r, 8196) == {"tie" if kind in ("discard", "mapd") else "unexplained": 1}


def test_the_collection_table_holds_no_events():
    r = Recording("collections anew")
    r.append(1, 0, "mapti", 8, 0, 8192, 0)
    r.append(2, 0, "its_tables", 0, 1)
    r.append(3, 0, "msi", 8, 0)
    r.append(4, 0, "acknowledge", 0, 8200)
    assert tie(r, 8192) == {"tie": 1}


def test_an_lpi_whose_event_was_discarded_while_it_was_pending_may_still_be_given_by_the_engine():
    """Whether it was cleared the engine knows: the recording only tells that it was sent."""
    r = Recording("discarded")
    r.append(1, 0, "mapti", 8, 0, 8192, 0)
    r.append(2, 0, "msi", 8, 0)
    r.append(3, 0, "discard", 8, 0)
    r.append(4, 0, "acknowledge", 0, 8200)
    assert tie(r, 8192) == {"tie": 1}
    r.append(5, 0, "reset")
    r.append(6, 0, "acknowledge", 0, 8200)
    rows = [(0, 8200, 8192, 4, "tie"), (0, 8200, 8192, 6, "tie")]
    assert check(r, rows).reasons == {"tie": 1, "unexplained": 1}


def test_a_tie_is_with_what_was_sent_since_it_was_last_taken():
    r = Recording("taken")
    r.append(1, 0, "mapti", 8, 0, 8192, 0)
    r.append(2, 0, "int", 8, 0)
    r.append(3, 0, "acknowledge", 0, 8192)
    r.append(4, 0, "acknowledge", 0, 8200)
    rows = [(0, 8192, 8192, 3, ""), (0, 8200, 8192, 4, "tie")]
    assert check(r, rows).reasons == {"unexplained": 1}
    assert check(r, [(0, 8192, 8192, 3, "tie")]).reasons == {"tie": 1}


def test_mapi_maps_an_event_to_the_lpi_of_its_number():
    r = Recording("mapi")
    r.append(1, 0, "mapi", 8, 8195, 1)
    r.append(2, 0, "msi", 8, 8195)
    r.append(3, 0, "acknowledge", 0, 8200)
    assert tie(r, 8195) == {"tie": 1}
    assert tie(r, 1) == {"unexplained": 1}


def test_the_counts_of_a_check():
    rows = [(0, 8192, 8192, 6), (0, 8193, 8193, 7), (0, 8192, 8192, 6), (0, 8194, 0, 8)]
    assert check(recording(), rows).in_order == 3
    assert str(check(recording(), rows[:3])) == "3 of 3 acknowledges as recorded (100.00%)"
    answer = check(recording(), rows[:1], left=[(0, 8194), (0, 8194), (0, 8194), (1, 8193)])
    assert (answer.left, answer.reasons) == (3, {"invented": 1})


def test_a_check_tells_what_was_rejected_behind_everything_else():
    answer = dataclasses.replace(check(recording(), [(0, 8192, 8193, 6)]), rejected=3)
    assert str(answer) == (
        "0 of 1 acknowledges as recorded (0.00%), 1 unexplained; 2 LPIs too few or too many on a vCPU; "
        "3 commands rejected"
    )
    assert answer.to_dict() == {
        "acknowledges": 1,
        "in_order": 0,
        "share_in_order": 0.0,
        "same_multiset": False,
        "mismatches": {"unexplained": 1},
        "left": 0,
        "rejected": 3,
        "holds": False,
    }


def test_a_mismatch_tells_both_lpis():
    answer = check(recording(), [(0, 8192, 8193, 6)], left=[(1, 8195), (1, 8195)])
    wrong, *invented = answer.mismatches
    assert str(wrong) == "line 6: vCPU 0 acknowledged 0x2000, the engine gave INTID 0x2001 (unexplained)"
    assert invented == [Mismatch(line=0, vcpu=1, recorded=0, answered=8195, reason="invented")] * 2
    assert answer.differences[1, 8195] == 2


def test_what_is_about_an_event_that_is_not_mapped_changes_nothing():
    """A guest may send, discard and unmap what it has not mapped."""
    r = Recording("not mapped")
    r.append(1, 0, "discard", 9, 1)
    r.append(2, 0, "mapd", 9, 4, 0)
    r.append(3, 0, "msi", 9, 1)
    r.append(4, 0, "mapti", 8, 0, 8192, 0)
    r.append(5, 0, "discard", 8, 1)
    r.append(6, 0, "msi", 8, 1)
    r.append(7, 0, "msi", 8, 0)
    r.append(8, 0, "acknowledge", 0, 8200)
    assert tie(r, 8192) == {"tie": 1}


def test_each_tie_is_looked_at_in_its_own_place():
    r = Recording("the third")
    r.append(1, 0, "mapti", 8, 0, 8192, 0)
    for line in (2, 3):
        r.append(line, 0, "acknowledge", 0, 8200)
    r.append(4, 0, "msi", 8, 0)
    r.append(5, 0, "acknowledge", 0, 8201)
    plain = [(0, 8200, 8200, line) for line in (2, 3)]
    assert check(r, [*plain, (0, 8201, 8192, 5, "tie")]).reasons == {"tie": 1}
    assert check(r, [*plain, (0, 8201, 8193, 5, "tie")]).reasons == {"unexplained": 1}
