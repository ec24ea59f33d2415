"""What the server does in one step for shared work: Lua scripts, and the names of the keys that they work on.

Of a place there are: its key (a hash: the session of today). Of a session: ``:jobs`` (a Redis stream, whose entries are
numbered by who publishes them), ``:about`` (a hash: what is known of it, when its publisher was last heard, whether it
has ended), and for each group ``:done:<group>`` (a Redis stream of results) and ``:seen:<group>`` (a sorted set: when
each member was last heard).

Every script may be run again after its reply was lost. Jobs that all groups are done with are removed when others are
added, so that there are never more than the capacity.
"""

__all__ = ["BEGIN", "CLAIM", "COMMIT", "END", "JOIN", "PUT", "RENEW", "TAKE_BACK", "session_keys"]

_NOW = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
"""

# KEYS: place, about, jobs. ARGV: prefix, session, text, ms to live, ms after which a publisher is dead, groups.
BEGIN = (
    _NOW
    + """
local old = redis.call('HGET', KEYS[1], 'session')
if old and old ~= ARGV[2] then
  local about = ARGV[1] .. old .. ':about'
  local beat, over = redis.call('HGET', about, 'beat'), redis.call('HGET', about, 'ended')
  if beat and over ~= '1' and now - tonumber(beat) < tonumber(ARGV[5]) then return 'busy' end
end
redis.call('HSET', KEYS[1], 'session', ARGV[2])
redis.call('HSET', KEYS[2], 'text', ARGV[3], 'beat', string.format('%.0f', now), 'ended', '0')
for i = 5, #ARGV do
  redis.pcall('XGROUP', 'CREATE', KEYS[3], i == 5 and '-' or ARGV[i], '0', 'MKSTREAM')
end
redis.call('XGROUP', 'DESTROY', KEYS[3], '-')
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ARGV[4]) end
return 'ok'
"""
)

# KEYS: place. ARGV: prefix, group, ms after which a publisher is dead. The last reply: nothing is left to be done.
JOIN = (
    _NOW
    + """
local session = redis.call('HGET', KEYS[1], 'session')
if not session then return false end
local about, jobs = ARGV[1] .. session .. ':about', ARGV[1] .. session .. ':jobs'
local text = redis.call('HGET', about, 'text')
if not text or redis.call('EXISTS', jobs) == 0 then return false end
redis.pcall('XGROUP', 'CREATE', jobs, ARGV[2], '0')
local beat = redis.call('HGET', about, 'beat')
local is_over = redis.call('HGET', about, 'ended') == '1' or now - tonumber(beat) > tonumber(ARGV[3])
if is_over and redis.call('XLEN', jobs) > 0 then
  local last = redis.call('XREVRANGE', jobs, '+', '-', 'COUNT', 1)[1][1]
  for _, flat in ipairs(redis.call('XINFO', 'GROUPS', jobs)) do
    local g = {}
    for i = 1, #flat, 2 do g[flat[i]] = flat[i + 1] end
    if g['name'] == ARGV[2] and (g['pending'] > 0 or g['last-delivered-id'] ~= last) then is_over = false end
  end
end
return {session, text, is_over and '1' or '0'}
"""
)

# KEYS: place, about, jobs. ARGV: capacity, ms to live, jobs of four each: number, head, data, parameters.
# How many were taken, how many there are now.
PUT = (
    _NOW
    + """
local low
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[3])) do
  local g = {}
  for i = 1, #flat, 2 do g[flat[i]] = flat[i + 1] end
  local first
  if g['pending'] > 0 then
    first = tonumber(string.match(redis.call('XPENDING', KEYS[3], g['name'])[2], '^%d+'))
  else
    first = tonumber(string.match(g['last-delivered-id'], '^%d+')) + 1
  end
  if not low or first < low then low = first end
end
if low then redis.call('XTRIM', KEYS[3], 'MINID', string.format('%.0f', low)) end
local info, last = redis.call('XINFO', 'STREAM', KEYS[3]), 0
for i = 1, #info, 2 do
  if info[i] == 'last-generated-id' then last = tonumber(string.match(info[i + 1], '^%d+')) end
end
local length, taken = redis.call('XLEN', KEYS[3]), 0
for i = 3, #ARGV, 4 do
  if tonumber(ARGV[i]) > last then
    if length >= tonumber(ARGV[1]) then break end
    redis.call('XADD', KEYS[3], ARGV[i] .. '-0', 'h', ARGV[i + 1], 'd', ARGV[i + 2], 'p', ARGV[i + 3])
    length = length + 1
  end
  taken = taken + 1
end
redis.call('HSET', KEYS[2], 'beat', string.format('%.0f', now))
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ARGV[2]) end
return {taken, length}
"""
)

# KEYS: about. No more jobs will come.
END = "return redis.call('HSET', KEYS[1], 'ended', '1')"

# KEYS: jobs. ARGV: group, member, ms without a sign of life, how many. Entries, and how often each was delivered.
CLAIM = """
local found, out = redis.call('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], '0-0', 'COUNT', ARGV[4]), {}
for i, entry in ipairs(found[2]) do
  local p = redis.call('XPENDING', KEYS[1], ARGV[1], entry[1], entry[1], 1)[1]
  out[i] = {entry[1], entry[2], p and p[4] or 1}
end
return out
"""

# KEYS: jobs, seen. ARGV: group, member, ms to live, ids at hand. Those that others have taken over stay theirs.
RENEW = (
    _NOW
    + """
local kept = 0
redis.call('ZADD', KEYS[2], string.format('%.0f', now), ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
for i = 4, #ARGV do
  local p = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1)[1]
  if p and p[2] == ARGV[2] then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'JUSTID')
    kept = kept + 1
  end
end
return kept
"""
)

# KEYS: jobs, done. ARGV: group, member, ms to live, jobs of two each: id, result. Which were the first of their job.
# The result is there if, and only if, the job is acknowledged; without a result it is acknowledged only.
COMMIT = """
local first = {}
for i = 4, #ARGV, 2 do
  local n = redis.call('XACK', KEYS[1], ARGV[1], ARGV[i])
  first[#first + 1] = n
  if n == 1 and ARGV[i + 1] ~= '' then
    redis.call('XADD', KEYS[2], '*', 'j', ARGV[i], 'r', ARGV[i + 1], 'm', ARGV[2])
    redis.call('PEXPIRE', KEYS[2], ARGV[3])
  end
end
return first
"""

# KEYS: jobs. ARGV: group, member, ms without a sign of life, how many. Ids that nobody will work on any more.
TAKE_BACK = """
local ids = {}
local new = redis.call('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', ARGV[4], 'STREAMS', KEYS[1], '>')
for _, entry in ipairs(new and new[1][2] or {}) do ids[#ids + 1] = entry[1] end
local old = redis.call('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], '0-0', 'COUNT', ARGV[4], 'JUSTID')
for _, id in ipairs(old[2]) do ids[#ids + 1] = id end
for _, id in ipairs(ids) do redis.call('XACK', KEYS[1], ARGV[1], id) end
return ids
"""


def session_keys(prefix: str, session: str) -> tuple[str, str]:
    """The Redis keys of a session: about, jobs."""
    return f"{prefix}{session}:about", f"{prefix}{session}:jobs"
