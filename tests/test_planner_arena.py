"""The arena: no two buffers that are alive at once overlap, and little is wasted."""

from hypothesis import given
from hypothesis import strategies as st

from conv_infer.planner.arena import ALIGNMENT, Interval, live_peak, place, round_up

intervals = st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 30), st.integers(0, 10)), max_size=40).map(
    lambda rows: [Interval(nbytes, first, first + length) for nbytes, first, length in rows]
)


@given(intervals)
def test_live_buffers_never_overlap(buffers):
    total = place(buffers)
    for index, one in enumerate(buffers):
        assert one.offset % ALIGNMENT == 0
        assert one.offset + one.nbytes <= total
        for other in buffers[index + 1 :]:
            if one.first <= other.last and other.first <= one.last and one.nbytes and other.nbytes:
                assert one.offset + one.nbytes <= other.offset or other.offset + other.nbytes <= one.offset


@given(intervals)
def test_the_arena_is_no_smaller_than_what_lives_at_once(buffers):
    assert live_peak(buffers) <= place(buffers) <= sum(round_up(buffer.nbytes) for buffer in buffers)


def test_a_chain_needs_two_buffers():
    chain = [Interval(6400, step, step + 1) for step in range(20)]
    assert place(chain) == 12800


def test_a_dead_buffer_makes_room():
    one, two, three = Interval(64, 0, 1), Interval(128, 1, 5), Interval(64, 2, 3)
    assert place([one, two, three]) == 192
    assert one.offset == three.offset
