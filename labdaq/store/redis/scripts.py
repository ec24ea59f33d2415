"""What the server does in one step: Lua scripts, and the names of the keys that they work on.

Every script may be run again after its reply was lost: the second time finds that all is done. They name keys
that they compute, so one server keeps a store, not a cluster.

Of a scan there are: its key (a hash), ``:states`` (a stream, one entry for each state), ``:declared`` (a set of
streams). Of a stream: its key with a number behind it (a Redis stream of batches, see `outbox`), ``:extent`` (a
Redis stream whose last entry says which points there are), ``:about`` (a hash: what was declared, who claimed it) and
``:writer`` (expires, unless the writer lives). Of the store: ``labdaq:scans`` (a stream, in the order of the scans) and
what starts with it or with ``labdaq:index:``.

A server without memory lets a script go on that has deleted something, so those that end something, free memory, or
belong to what has been written already, delete first.

The batches get another number with each writer. One who was suspended, and replaced meanwhile, appends to a key that
is no longer there, which does nothing; so the bytes need not go through Lua, which would double their cost.
"""

__all__ = ["CLAIM", "COMMIT", "LOCATE", "MOST", "RELEASE", "RENEW", "SEAL", "TRIM", "stream_keys"]

MOST = 2**53  # points, bytes and numbers: what Lua can count

# KEYS of all scripts of a stream: its key, extent, about, writer; ARGV[1] is the token of the writer.
# An extent reads: first, length, bytes ever written, bytes trimmed, sealed, number of the batches. One that says
# anything else, as in `replies`, is damaged: nothing is done with it.
_STREAM = """
local function extent()
  local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
  if not last then return nil end
  local e = {string.match(last[2][2], '^(%d+) (%d+) (%d+) (%d+) ([01]) (%d+)$')}
  local damaged = {damage={'damaged', KEYS[2]}}
  if #e ~= 6 or #last[2] ~= 2 or last[2][1] ~= 'e' then return damaged end
  local n = {}
  for i, text in ipairs(e) do
    n[i] = tonumber(text)
    if n[i] > 2^53 or text ~= string.format('%.0f', n[i]) then return damaged end
  end
  if n[1] > n[2] or n[4] > n[3] then return damaged end
  return {first=e[1], length=e[2], nbytes=e[3], trimmed=e[4], sealed=e[5], place=e[6]}
end
local function put_extent(e)
  local text = table.concat({e.first, e.length, e.nbytes, e.trimmed, e.sealed, e.place}, ' ')
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', 1, '*', 'e', text)
end
local function refusal(e)
  if not e then return {'gone'} end
  if e.damage then return e.damage end
  if e.sealed == '1' then return {'sealed', e.length} end
  if redis.call('HGET', KEYS[3], 'token') ~= ARGV[1] then
    return {'busy', redis.call('HGET', KEYS[3], 'author') or ''}
  end
  return nil
end
local function give_up()
  redis.call('DEL', KEYS[4])
  redis.call('HDEL', KEYS[3], 'token', 'author')
end
local e = extent()
"""

_MOVE = """
local function move(e)
  local old, new = KEYS[1] .. ':' .. e.place, KEYS[1] .. ':' .. string.format('%.0f', tonumber(e.place) + 1)
  if redis.call('EXISTS', old) == 1 then
    redis.call('RENAME', old, new)
  else
    redis.call('XGROUP', 'CREATE', new, 'none', '$', 'MKSTREAM')
    redis.call('XGROUP', 'DESTROY', new, 'none')
  end
  e.place = string.format('%.0f', tonumber(e.place) + 1)
  put_extent(e)
end
"""

# Author, milliseconds.
CLAIM = (
    _STREAM
    + _MOVE
    + """
local no = refusal(e)
if no and (no[1] ~= 'busy' or redis.call('EXISTS', KEYS[4]) == 1) then return no end
move(e)
redis.call('HSET', KEYS[3], 'token', ARGV[1], 'author', ARGV[2])
redis.call('SET', KEYS[4], ARGV[2], 'PX', ARGV[3])
return {'ok', e.length, e.nbytes, e.place}
"""
)

# Author, milliseconds. Whoever claimed last goes on, even when the claim has expired: nobody came in between.
RENEW = (
    _STREAM
    + """
local no = refusal(e)
if no then return no end
if redis.call('PEXPIRE', KEYS[4], ARGV[3]) == 0 then redis.call('SET', KEYS[4], ARGV[2], 'PX', ARGV[3]) end
return {'ok', e.length}
"""
)

RELEASE = (
    _STREAM
    + _MOVE
    + """
if e and redis.call('HGET', KEYS[3], 'token') == ARGV[1] then
  give_up()
  if not e.damage then move(e) end
end
return {'ok'}
"""
)

# Length before and after, bytes afterwards. Runs in one transaction with the batches.
COMMIT = (
    _STREAM
    + """
local no = refusal(e)
if no then return no end
if tonumber(ARGV[3]) <= tonumber(e.length) then return {'ok', 'again'} end
if ARGV[2] ~= e.length then return {'behind', e.length} end
redis.call('HDEL', KEYS[3], 'nothing')
e.length, e.nbytes = ARGV[3], ARGV[4]
put_extent(e)
return {'ok', 'new'}
"""
)

SEAL = (
    _STREAM
    + """
if e and e.sealed == '1' then return {'ok', e.length} end
local no = refusal(e)
if no then return no end
if e.length ~= ARGV[2] then return {'behind', e.length} end
e.sealed = '1'
give_up()
put_extent(e)
return {'ok', e.length}
"""
)

# The first point to be kept; how many bytes were freed.
TRIM = (
    _STREAM
    + """
if not e or e.damage then return e and e.damage or {'gone'} end
local wanted, keep, trimmed, place = tonumber(ARGV[1]), e.length, e.nbytes, KEYS[1] .. ':' .. e.place
if wanted <= tonumber(e.first) then return {'ok', 0} end
if wanted < tonumber(e.length) then
  local entry = redis.call('XREVRANGE', place, ARGV[1], '-', 'COUNT', 1)[1]
  if not entry then return {'ok', 0} end
  keep = string.match(entry[1], '^%d+')
  local damage = {'damaged', place}
  if #entry[2][2] ~= 20 or tonumber(keep) < tonumber(e.first) then return damage end
  local _, low, high = struct.unpack('<I4I8I8', entry[2][2])
  if high < tonumber(e.trimmed) or high > tonumber(e.nbytes) then return damage end
  trimmed = string.format('%.0f', high)
end
redis.call('XTRIM', place, 'MINID', keep)
local freed = tonumber(trimmed) - tonumber(e.trimmed)
if keep ~= e.first then
  e.first, e.trimmed = keep, trimmed
  put_extent(e)
end
return {'ok', string.format('%.0f', freed)}
"""
)

# The entry that holds a point, without its payload.
LOCATE = (
    _STREAM
    + """
local entry = e and not e.damage and redis.call('XREVRANGE', KEYS[1] .. ':' .. e.place, ARGV[1], '-', 'COUNT', 1)[1]
if not entry then return false end
return {entry[1], entry[2][2]}
"""
)


def stream_keys(key: str) -> tuple[str, str, str, str]:
    """The Redis keys of a stream: its key, with a number behind that of its batches; extent, about, writer."""
    return key, key + ":extent", key + ":about", key + ":writer"
