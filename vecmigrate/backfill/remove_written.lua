-- Takes items out of a backfill's accounts, and with them the documents that it wrote. The caller watches the documents
-- and has seen that they still are what was written.
--
-- KEYS  1 lease  2 items  3 steps  4 rejects  5 source: items that are fields of it stay; the lease where
--       that is no matter, for a user may have no right to a key called ""
-- ARGV  1 identity of the lease  2 prefix of the documents  3 prefix of the step's fields  4... names
-- Reply { documents removed, items taken out }
if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then
  return redis.error_reply('FENCED the lease was lost')
end
local removed, out, done, rejected, remarks = 0, 0, 0, 0, 0
for at = 4, #ARGV do
  local name = ARGV[at]
  local mark = redis.call('HGET', KEYS[2], name)
  if mark and not (KEYS[5] ~= KEYS[1] and redis.call('HEXISTS', KEYS[5], name) == 1) then
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
return { removed, out }
