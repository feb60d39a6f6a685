-- The check of the lease that stands before each script that writes.
-- KEYS 1 lease   ARGV 1 identity  2 the last write of this run that the server confirmed
local held = redis.call('HMGET', KEYS[1], 'id', 'seq')
if held[1] ~= ARGV[1] then
  return redis.error_reply('FENCED the lease was lost')
end
-- A lower number means that the server forgot writes: it came back from an older state.
local seq = tonumber(held[2] or '0')
if seq < tonumber(ARGV[2]) then
  return redis.error_reply('WENTBACK ' .. seq .. ' ' .. ARGV[2])
end
