"""Keys of scans and streams, and the time tags that order scans.

A key is ``labdaq:scan:`` or ``labdaq:stream:`` and a ULID (https://github.com/ulid/spec): 48 bits of time in ms,
then 80 random bits, as 26 letters of Crockford's base 32. Keys sort by the time they were made.

A time tag is ``<ms>-<number>``: when a scan was made (UTC), and its place in the order of all scans of a
store, by which alone tags are compared.
"""

import re
import secrets
import time

from labdaq.errors import DataError

__all__ = ["FIRST_TAG", "check_key", "created_ns", "new_key", "tag_order", "ulid_of"]

FIRST_TAG = "0-0"  # before every scan
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_KEY = re.compile(r"labdaq:(scan|stream):([0-7][0-9A-HJKMNP-TV-Z]{25})", re.ASCII)
_TAG = re.compile(r"(\d{1,15})-(\d{1,19})", re.ASCII)


def new_key(kind: str) -> str:
    """Make a key of a kind, ``scan`` or ``stream``.

    Examples
    --------
    >>> len(new_key("scan"))
    38
    """
    number = time.time_ns() // 1_000_000 << 80 | secrets.randbits(80)
    return f"labdaq:{kind}:" + "".join(_LETTERS[number >> shift & 31] for shift in range(125, -1, -5))


def check_key(key: str, kind: str) -> str:
    """Return the key, if it is one of this kind.

    Raises
    ------
    DataError
        It is not; so no text from outside ever becomes the name of a file or of a Redis key.
    """
    found = _KEY.fullmatch(str(key))
    if found is None or found[1] != kind:
        raise DataError(f"{key!r} is not the key of a {kind}; those look like labdaq:{kind}:01HCYP7ARJ4NSG9VGPGDX6SN2X")
    return key


def ulid_of(key: str) -> str:
    """The ULID in a key.

    Examples
    --------
    >>> ulid_of("labdaq:scan:01HCYP7ARJ4NSG9VGPGDX6SN2X")
    '01HCYP7ARJ4NSG9VGPGDX6SN2X'
    """
    return key.rpartition(":")[2]


def tag_order(tag: str | int) -> tuple[int, int]:
    """A time tag as two numbers: ms since 1970, and the place in the order. 0 is before every scan.

    Raises
    ------
    DataError
        It is not a time tag.
    """
    if tag == 0:
        return (0, 0)
    found = _TAG.fullmatch(tag) if isinstance(tag, str) else None
    if found is None:
        raise DataError(f"{tag!r} is not a time tag; give back what an earlier call returned, or 0 for the beginning")
    return int(found[1]), int(found[2])


def created_ns(key: str) -> int:
    """When a key was made, UTC, to the millisecond.

    Examples
    --------
    >>> created_ns("labdaq:scan:01HCYP7ARJ4NSG9VGPGDX6SN2X") // 10**9
    1697542023
    """
    number = 0
    for letter in ulid_of(key)[:10]:
        number = number << 5 | _LETTERS.index(letter)
    return number * 1_000_000
