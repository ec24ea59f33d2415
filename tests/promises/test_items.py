"""What a reader gets is what was written, however much that is."""

import numpy as np
import pytest

from labdaq import Ring
from labdaq.testing import run_threads

SPAN = 1 << 14


@pytest.mark.promise(
    "P2", "numbered items through a ring, to a group of two and to a single reader, compared one by one"
)
@pytest.mark.timeout(1800)
def test_every_item_is_the_one_that_was_written(often, saw):
    total = often(1 << 8, 1 << 16) * SPAN
    read = []

    def write():
        with ring.writer() as writer:
            for start in range(0, total, SPAN):
                with writer.reserve(SPAN) as span:
                    span.data[...] = np.arange(start, start + SPAN)
        ring.end()

    def check(group):
        count, wrong = 0, 0
        with ring.reader(group) as reader:
            for span in reader.spans(SPAN):
                count += span.nframe
                wrong += int(np.count_nonzero(span.data != np.arange(span.index, span.index + span.nframe)))
        read.append((group, count, wrong))

    with Ring(dtype="i8", capacity=8 * SPAN) as ring:
        for group in ("shared", "single"):
            ring.group(group)
        run_threads(
            write,
            *[lambda group=group: check(group) for group in ("shared", "shared", "single")],
            timeout=often(100, 1700),
        )
    assert sum(wrong for *_, wrong in read) == 0
    assert sum(count for group, count, _ in read if group == "single") == total
    assert sum(count for group, count, _ in read if group == "shared") == total
    saw(f"{total:.1e} items, read twice, 0 wrong, 0 missing")
