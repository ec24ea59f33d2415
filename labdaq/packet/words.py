"""The numbers that compiled capture code works with, in one row of int64 words, and its reasons and results."""

# ---- why a packet was not placed; columns of the counters. 0 is good.
ACCEPTED = 0
BAD_HEADER = 1
WRONG_SIZE = 2
WRONG_SOURCE = 3
STRAY = 4  # good in itself, and belongs to no sequence: one packet alone with another setup or number
LATE = 5
DUPLICATE = 6
RING_FULL = 7
REASONS = 8
INVALID = {"bad_header": BAD_HEADER, "wrong_size": WRONG_SIZE, "wrong_source": WRONG_SOURCE, "stray": STRAY}

# ---- what placing ended with
USED_UP = 0  # all packets of the batch were dealt with
GULP_FULL = 1  # the next packet lies behind the open gulps
NEW_SEQUENCE = 2  # the next packet and the one that waits belong to a new sequence
HOLD = 3  # the next packet is good, and to be held back

# ---- words: the open gulps
BEGIN = 0  # number of the first frame of the oldest open gulp
NEXT = 1  # one more than the largest number seen
GULP = 2  # frames in a gulp
OPEN = 3  # gulps that are open at a time
HEAD = 4  # slot of the oldest
ACTIVE = 5  # 1 while there is a sequence
REACH = 6  # frames: what is farther ahead of the open gulps is a new sequence
WINDOW = 7  # frames of all open gulps; what is farther behind them than that is a new sequence

# ---- words: the frame, in the order of FrameLayout.words
FRAME_NBYTES = 8
ROWS = 9
BLOCK = 10
STRIDE = 11
GROUP = 12
OUTER = 13
INNER = 14

# ---- words: what comes in
NSRC = 15
HANDED = 16  # packets dealt with
NSETUP = 17  # values that make a sequence, all sources alike
NVALUES = 18  # the same and those of each source
WAITING = 19  # bytes of the packet that waits, or 0
PATIENCE = 20  # how many packets of the sequence may come before it has waited in vain
RUN = 21  # late and duplicate packets in a row
FRESH = 22  # while it is positive, packets of the sequence before may still come
STATUS = 23
GATHERING = 30  # 1 while good packets are held back

# ---- words: what decoders read, in the order of Capturing
CAPTURING = 24

# ---- words: the sequence before
OLD_BEGIN = 28
OLD_NEXT = 29

# ---- words: packets as decoders see them
SEQ, SRC, OFFSET, NBYTES, VALUES = 0, 1, 2, 3, 4
RECORD = 12
CURRENT = 32  # the sequence: its first number, payload and setup
PACKET = 44  # the packet being looked at
STASH = 56  # the packet that waits
OLD = 68  # the sequence before

# ---- words: addresses of other memory, and the largest packet
SLOTS = 80  # (open, 2): data (0: no room in the ring) and ``present`` of each open gulp
COUNTS = 81  # (nsrc + 1, REASONS); the last row is for packets of no known source
BY_SOURCE = 82  # (nsrc, 1 + values): whether anything is known of a source, then its values
STASHED = 83  # the packet that waits
LARGEST = 84

# ---- words: payloads that are copied together, as their rows are neighbours in the frame
COUNT = 85  # how many wait for it
TARGET = 86  # where the first of them goes
NEIGHBOURS = 87  # addresses of them all
WORDS = 91
