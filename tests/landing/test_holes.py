"""A hole in the offsets is believed when it is read twice: no record is skipped because it could not be read yet."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lah_platform.landing.holes import Holes
from lah_platform.landing.records import Partition

_PARTITION = Partition("t", "id", 0)
_END = 40


@settings(deadline=None)
@given(
    missing=st.sets(st.integers(0, _END - 2)),
    late=st.lists(st.sets(st.integers(0, _END - 2), max_size=8), max_size=12),
    sizes=st.lists(st.integers(1, 15), min_size=1),
)
def test_every_record_is_handed_over_once_however_late_a_broker_shows_it(
    missing: set[int], late: list[set[int]], sizes: list[int]
) -> None:
    """`missing` are no records at all; `late[n]` are those that reading n does not show and the next ones do."""
    log = [offset for offset in range(_END) if offset not in missing]
    not_yet = [each - missing for each in late]
    shown: set[int] = set()
    holes, handed, start = Holes(), list[int](), 0
    for reading in range(10 * _END):
        hidden = not_yet[reading] - shown if reading < len(not_yet) else set[int]()
        shown |= hidden  # late once
        read = [offset for offset in log if offset >= start and offset not in hidden][: sizes[reading % len(sizes)]]
        if not read:
            if hidden:
                continue
            break
        count = holes.believed(_PARTITION, start, np.array(read))
        handed += read[:count]
        start = read[count - 1] + 1 if count else start
    assert handed == log
