-- Writes a value of each document anew that it has already, so that every index over it takes it in.
-- The value is read and written in this one step: nothing is changed, nothing that a service writes is undone.
-- Behind fence.lua, which checks the lease.
-- KEYS 1 lease, then documents
-- ARGV 1 identity  2 the last write of this run that the server confirmed  3 "hash" or "json"  4... paths to try first
-- Reply { number of this write, { 1 for each document that was there, else 0 } }
-- When the field expires, in milliseconds, or nil. Redis before 7.4 has no such command.
local function expiry(key, field)
  local found = redis.pcall('HPEXPIRETIME', key, 'FIELDS', 1, field)
  if found.err then
    -- Not to be allowed to ask is another matter: the expiry would be lost.
    if not string.find(string.lower(found.err), 'unknown', 1, true) then error(found.err) end
    return nil
  end
  local at = tonumber(found[1])
  return at and at > 0 and found[1] or nil
end

local function touch_hash(key)
  local chosen, at
  for i = 4, #ARGV do
    if redis.call('HEXISTS', key, ARGV[i]) == 1 then
      chosen, at = ARGV[i], expiry(key, ARGV[i])
      if not at then break end
    end
  end
  chosen = chosen or redis.call('HRANDFIELD', key)
  at = at or expiry(key, chosen)
  redis.call('HSET', key, chosen, redis.call('HGET', key, chosen))
  -- HSET takes the field's own expiry away.
  if at then redis.call('HPEXPIREAT', key, at, 'FIELDS', 1, chosen) end
end

local function touch_json(key)
  local kind = redis.call('JSON.TYPE', key, '$')[1]
  if kind == 'object' then
    redis.call('JSON.MERGE', key, '$', '{}')
  elseif kind == 'array' then
    redis.call('JSON.ARRTRIM', key, '$', 0, -1)
  elseif kind == 'string' then
    redis.call('JSON.STRAPPEND', key, '$', '""')
  end
end

local touched = {}
for i = 2, #KEYS do
  local kind = redis.call('TYPE', KEYS[i]).ok
  if ARGV[3] == 'hash' and kind == 'hash' then
    touch_hash(KEYS[i])
    touched[i - 1] = 1
  elseif ARGV[3] == 'json' and kind == 'ReJSON-RL' then
    touch_json(KEYS[i])
    touched[i - 1] = 1
  else
    touched[i - 1] = 0
  end
end
return { redis.call('HINCRBY', KEYS[1], 'seq', 1), touched }
