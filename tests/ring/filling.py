"""Sequences of spans which hold their number, for tests."""


def write(ring, count, gulp=16, name="", begin=0, **setup):
    """A sequence of spans which hold their number."""
    with ring.begin_writing() as writer, writer.begin_sequence(name, **setup) as sequence:
        fill(sequence, range(begin, begin + count), gulp)


def fill(sequence, numbers, gulp=16):
    for number in numbers:
        with sequence.reserve(gulp) as span:
            span.data[...] = number


def spans(ring, gulp=16, **how):
    """What every span of every sequence begins with."""
    return [[int(span.data.flat[0]) for span in sequence.read(gulp)] for sequence in ring.read(**how)]
