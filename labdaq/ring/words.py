"""The words of a ring's control block and of a participant's handle, as byte offsets.

A ring is driven by int64 words in shared memory, the *control block*, on the host whatever the space of
the data. In order: the header below, one sequencer for the writers and one per reader group, the table of
participants, the table of sequences, the log of holes, two slots of layout text, the arena of headers.
Words which different threads write stand on lines of their own (128 bytes: two cache lines, since
processors fetch pairs).

A *sequencer* hands out consecutive stretches of frames by tickets, see :mod:`labdaq.ring.sequencer`.
A *handle* is a small block of words in the memory of one writer or reader: what the compiled steps need,
and where they leave their results.
"""

LINE = 128
MAGIC_NUMBER = 0x6C6162646171_02  # "labdaq" and the version of this layout

# ---- control block: fixed when it is made
MAGIC = 0
CLAIMS = 8  # records per sequencer, a power of two; one less may be open at a time
IS_PRIVATE = 16  # 1: only threads of one process, so futexes may be private
CREATED_NS = 24  # UTC
IS_TYPED = 32  # 1: frames have a dtype, writers may be several, every frame has a flag
WRITERS = 40  # offset of the writers' sequencer
PARTICIPANTS = 48  # offset of the table
SEQUENCES = 56
HOLES = 64
LAYOUTS = 72
ARENA = 80
ARENA_NBYTES = 88
BLOCK_NBYTES = 96
FIRST_FRAME = 104

# ---- read in every step, written rarely
CAPACITY = LINE  # frames
EPOCH = LINE + 8  # raised when limits of writers become void: joins, resizes, ends
STATE = LINE + 16
GENERATION = LINE + 24  # raised when the data memory is replaced
GROUPS_USED = LINE + 32  # high-water marks, so that scans are short
PARTICIPANTS_USED = LINE + 40
LAST_BEGIN = LINE + 48  # first frame of the newest sequence
SEQUENCE_COUNT = LINE + 56
KEPT_FROM = LINE + 64  # oldest frame that the memory of today ever held
LOCK = LINE + 72  # registry lock, see control.py

# ---- futexes: 32-bit event counter, then the number of sleepers
SPACE_EVENT = 2 * LINE  # writers sleep here
SPACE_WAITERS = 2 * LINE + 8
DATA_EVENT = 3 * LINE  # readers and observers sleep here
DATA_WAITERS = 3 * LINE + 8

# ---- counters of the ring
COUNTER = 4 * LINE  # next event counter
VOIDED = 5 * LINE  # frames
REDELIVERED = 5 * LINE + 8
TRUNCATED = 5 * LINE + 16  # sequences
RECOVERED = 5 * LINE + 24  # participants that died
HOLE_COUNT = 5 * LINE + 32  # holes ever logged
HAS_VOIDS = 5 * LINE + 56  # 1 once any frame was flagged
ARENA_HEAD = 5 * LINE + 40
UNDELIVERED = 5 * LINE + 48  # frames that a group had not finished when it went away
HEADER_NBYTES = 6 * LINE

OPEN, ENDED = 0, 1  # STATE
HORIZON = 1 << 62  # frame numbers end here: 14 years at 10 GB/s counted in bytes

# ---- sequencer
HEAD = 0  # next ticket; may lag by one behind the truth
DONE = LINE  # first ticket that is not finished
FRONTIER = 2 * LINE  # end of the finished prefix (64 bits)
KIND = 3 * LINE
ORPHANS = 3 * LINE + 8  # not 0: members that died have left claims, to be delivered again
IS_DECLARED = 3 * LINE + 24
JOINED_AT = 3 * LINE + 32  # first frame that the group could still have
GROUP_NAME = 3 * LINE + 40  # 64 bytes
RECORDS = 4 * LINE
FREE, GUARANTEED = 0, 1  # KIND

END_BITS = 52
END_MASK = (1 << END_BITS) - 1
OWNER_MASK = 1023
FINISHED, CLAIMED, ORPHANED, FROZEN = 0, 1, 2, 3  # states of a record

# ---- participant
PARTICIPANT_NBYTES = 2 * LINE
P_STATE = 0
P_PID = 8
P_STARTED = 16
P_ROLE = 24
P_GROUP = 32  # offset of the sequencer, 0 none
P_SINCE_NS = 40
P_FRAMES = 48
P_SPANS = 56
P_SKIPPED = 64
P_OVERWRITTEN = 72
P_MISSED = 80
P_CURSOR = 88
P_REDELIVERED = 96
P_WAITS = 104
P_WAIT_NS = 112
P_THREAD = LINE + 64  # who made it, native thread id
P_LABEL = LINE  # 64 bytes
P_FREE, P_LIVE, P_LEFT = 0, 1, 2
ATTACHED, WRITER, EXCLUSIVE_WRITER, READER, SEQUENCE_READER, OBSERVER = range(6)  # P_ROLE

# ---- sequence
SEQUENCE_NBYTES = LINE
Q_NUMBER = 0  # written last; another number than expected: recycled
Q_BEGIN = 8
Q_END = 16  # OPEN_END while it is written
Q_TIME_TAG = 24
Q_FRAME = 32  # ring frames per frame of the sequence
Q_ROW = 40  # row of the planes that belongs to its first frame
Q_SETUP = 48  # position of its texts in the arena
Q_SETUP_NBYTES = 56
Q_HEADER_NBYTES = 64
Q_TRUNCATED = 72
Q_WRITER = 80
OPEN_END = -1
SEQUENCE_SLOTS = 512

HOLE_SLOTS = 1024
LAYOUT_NBYTES = 1 << 15
ARENA_SIZE = 1 << 20
CLAIM_SLOTS = 256
GROUP_SLOTS = 32
PARTICIPANT_SLOTS = 256

# ---- handle
HANDLE_NBYTES = 256
BLOCK = 0  # address of the control block
SEQUENCER = 8  # address
OWNER = 16  # participant number, 1-based
LIMIT = 24  # writers: frames up to here may be claimed ...
LIMIT_EPOCH = 32  # ... as long as the epoch is this
SPIN_NS = 40  # how long a step that has to wait tries before it sleeps
IN_USE = 48  # 1 while a thread is between asking and having read the result
TICKET = 56
START = 64
END = 72
ADOPTED = 80  # 1 when the claim was taken over from a dead member
FLAGS = 104  # address of one byte per slot, 0 when the ring has none
FLAG_SLOTS = 112
EVENTS = 120  # address of counters; then timestamps and dead times
EVENT_SLOTS = 128
TIMESTAMPS = 136
DEADTIMES = 144
MY_GENERATION = 152
PARTICIPANT = 160  # address
ENTRY = 168  # sequence readers: address of the sequence
ENTRY_NUMBER = 200
DATA = 176  # address, for compiled users of a ring
DATA_SLOTS = 184
DATA_NBYTES = 192  # of one frame

# ---- what the steps return instead of a frame number
AGAIN = -1  # not now
LOST = -2  # the claim is no longer yours
STALE = -3  # the epoch changed: look again
OVER = -4  # nothing will come: the sequence or the ring has ended
BUSY = -5  # another thread uses this handle
FULL = -6  # as many claims are open as there are records
INTERRUPT = -7  # a signal came while sleeping
EXHAUSTED = -8  # frame numbers have come to HORIZON
MOVED = -9  # the data memory was replaced: map it, then ask again

VOID = 1  # flag of a frame that was never filled
