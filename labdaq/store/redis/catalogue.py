"""What the server does in one step with scans: Lua scripts, see `scripts`."""

from typing import Any

from labdaq.errors import ResourceError

__all__ = [
    "ADD",
    "ADVANCE",
    "DECLARE",
    "FIELDS",
    "FORMAT",
    "LAST_TAG",
    "REMOVE",
    "SCANS",
    "SEARCH",
    "STREAMS",
    "check_format",
]

SCANS = "labdaq:scans"
LAST_TAG = SCANS + ":last"
STREAMS = "labdaq:streams"
FORMAT = ("labdaq:format", "1")  # a key, and what this version writes there

# KEYS: scan, states, scans, and the indices. ARGV: key, ms, identity, info, created_ns; score and member each.
ADD = """
local tag = redis.call('HGET', KEYS[1], 'tag')
if tag then return tag end
local number = string.format('%.0f', redis.call('INCR', KEYS[3] .. ':number'))
tag = ARGV[2] .. '-' .. number
redis.call('HSET', KEYS[1], 'tag', tag, 'number', number, 'identity', ARGV[3], 'info', ARGV[4], 'created_ns', ARGV[5],
  'state', '0', 'streams', '[]')
redis.call('XADD', KEYS[2], '*', 's', '0')
redis.call('XADD', KEYS[3], number .. '-0', 'k', ARGV[1], 't', tag)
redis.call('ZADD', KEYS[3] .. ':order', number, ARGV[1])
redis.call('SET', KEYS[3] .. ':last', tag)
for i = 4, #KEYS do redis.call('ZADD', KEYS[i], ARGV[i * 2 - 2], ARGV[i * 2 - 1]) end
return tag
"""

# KEYS: scan, states. ARGV: state before and after, info, streams, a token of this very step.
ADVANCE = """
local state = redis.call('HGET', KEYS[1], 'state')
if not state then return {'gone'} end
if state ~= ARGV[1] then
  if redis.call('HGET', KEYS[1], 'step') == ARGV[5] then return {'ok'} end
  return {'is', state}
end
redis.call('HSET', KEYS[1], 'state', ARGV[2], 'info', ARGV[3], 'streams', ARGV[4], 'step', ARGV[5])
redis.call('XADD', KEYS[2], '*', 's', ARGV[2])
return {'ok'}
"""

# KEYS: scan, its declared streams, all streams, extent, about. ARGV: key of the stream, record.
DECLARE = """
if redis.call('EXISTS', KEYS[1]) == 0 then return {'gone'} end
if redis.call('HSETNX', KEYS[5], 'record', ARGV[2]) == 0 then return {'ok'} end
redis.call('XADD', KEYS[4], '*', 'e', '0 0 0 0 0 0')
redis.call('SADD', KEYS[2], ARGV[1])
redis.call('SADD', KEYS[3], ARGV[1])
return {'ok'}
"""

# KEYS: scan, states, declared streams, scans, all streams, and the indices. ARGV: key, a member of each index.
REMOVE = """
local number = redis.call('HGET', KEYS[1], 'number')
if not number then return 0 end
for _, stream in ipairs(redis.call('SMEMBERS', KEYS[3])) do if string.match(stream, '^labdaq:stream:%w+$') then
  redis.call('SREM', KEYS[5], stream)
  local last = redis.pcall('XREVRANGE', stream .. ':extent', '+', '-', 'COUNT', 1)[1]
  local place = last and string.match(last[2][2], '^%d+ %d+ %d+ %d+ [01] (%d+)$')
  for _, key in ipairs(place and {stream .. ':' .. place} or redis.call('KEYS', stream .. ':*')) do
    redis.call('UNLINK', key)
  end
  redis.call('UNLINK', stream .. ':extent', stream .. ':about', stream .. ':writer')
end end
redis.call('XDEL', KEYS[4], number .. '-0')
redis.call('ZREM', KEYS[4] .. ':order', ARGV[1])
for i = 6, #KEYS do redis.call('ZREM', KEYS[i], ARGV[i - 4]) end
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3])
return 1
"""

# KEYS: scans. ARGV: 1 for the newest first, how many or -1; then for each term the number of its ranges, and for
# each range the index, by what it is ordered, and two ends. Members of an index end in the key of a scan.
SEARCH = """
local order, newest, limit = KEYS[1] .. ':order', ARGV[1] == '1', tonumber(ARGV[2])
local found = {redis.call('GET', KEYS[1] .. ':last') or '0-0'}
if limit == 0 then return found end
if #ARGV == 2 then
  local command = {'ZRANGE', order, 0, limit < 0 and -1 or limit - 1}
  if newest then table.insert(command, 'REV') end
  for _, key in ipairs(redis.call(unpack(command))) do table.insert(found, key) end
  return found
end
local nhits, nterms, at = {}, 0, 3
while ARGV[at] do
  local nranges = tonumber(ARGV[at])
  at = at + 1
  for _ = 1, nranges do
    for _, member in ipairs(redis.call('ZRANGE', ARGV[at], ARGV[at + 2], ARGV[at + 3], ARGV[at + 1])) do
      local key = string.sub(member, -38)
      if (nhits[key] or 0) == nterms then nhits[key] = nterms + 1 end
    end
    at = at + 4
  end
  nterms = nterms + 1
end
local hits = {}
for key, n in pairs(nhits) do
  local score = n == nterms and redis.call('ZSCORE', order, key)  -- false: a scan that was not removed everywhere
  if score then table.insert(hits, {tonumber(score), key}) end
end
table.sort(hits, function(a, b) if newest then return a[1] > b[1] else return a[1] < b[1] end end)
for i = 1, limit < 0 and #hits or math.min(limit, #hits) do table.insert(found, hits[i][2]) end
return found
"""

# KEYS: the list. ARGV: fields; all that there are now.
FIELDS = """
local known, have = redis.call('LRANGE', KEYS[1], 0, -1), {}
for _, name in ipairs(known) do have[name] = true end
for _, name in ipairs(ARGV) do
  if not have[name] then
    redis.call('RPUSH', KEYS[1], name)
    table.insert(known, name)
    have[name] = true
  end
end
return known
"""


def check_format(found: Any, url: str) -> None:
    """Whether this version can read what is there.

    Raises
    ------
    ResourceError
        It was written by a version with another layout, or is no store at all.
    """
    if not isinstance(found, bytes) or not found.isdigit():
        raise ResourceError(
            f"{url} says that {FORMAT[0]} is {found!r}, which labdaq did not write: is this a Redis server?"
        )
    if found != FORMAT[1].encode():
        raise ResourceError(f"{url} was written by another version of labdaq (layout {found!r}): use that one")
