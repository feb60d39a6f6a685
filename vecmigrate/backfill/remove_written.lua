#!lua flags=allow-oom
-- Takes items out of a backfill's accounts, and with them the documents that it wrote. The caller watches the documents
-- and has seen that they still are what was written. It frees memory, so it works where none is left.
--
-- KEYS  1 lease  2 items  3 steps  4 rejects  5 source: items that are fields of it stay; the lease where
--       that is no matter, for a user may have no right to a key called ""
-- ARGV  1 identity of the lease  2 prefix of the documents  3 prefix of the step's fields
--       4 the newest number of the fence that the caller knows of  5... names
-- Reply { documents removed, items taken out, names that are in no account any more, microseconds taken (-1: not known), number of the fence }
local clock = os and os.clock
local began = clock and clock()
if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then
  return redis.error_reply('FENCED the lease was lost')
end
local fence = tonumber(redis.call('HGET', KEYS[1], 'seq') or 0)
if fence < tonumber(ARGV[4]) then
  return redis.error_reply('WENTBACK ' .. fence .. ' ' .. ARGV[4])
end
fence = redis.call('HINCRBY', KEYS[1], 'seq', 1)
local removed, out, absent, done, rejected, remarks = 0, 0, 0, 0, 0, 0
for at = 5, #ARGV do
  local name = ARGV[at]
  local mark = redis.call('HGET', KEYS[2], name)
  if not mark then
    absent = absent + 1
  elseif not (KEYS[5] ~= KEYS[1] and redis.call('HEXISTS', KEYS[5], name) == 1) then
    local aside = string.sub(mark, 1, 1) == 'r'
    local entry = string.sub(mark, aside and 2 or 14)
    if aside then
      rejected = rejected - 1
    else
      removed = removed + redis.call('DEL', ARGV[2] .. name)
      done = done - 1
      if entry ~= '' then remarks = remarks - 1 end
    end
    if entry ~= '' then redis.call('XDEL', KEYS[4], entry) end
    redis.call('HDEL', KEYS[2], name)
    out = out + 1
  end
end
for name, change in pairs({ done = done, rejected = rejected, remarks = remarks }) do
  if change ~= 0 then redis.call('HINCRBY', KEYS[3], ARGV[3] .. name, change) end
end
local taken = clock and math.floor((clock() - began) * 1000000) or -1
return { removed, out, absent, taken, fence }
