-- Runs commands where the lease still is ours, in one atomic step; otherwise runs none.
-- KEYS 1 lease, then what the commands touch
-- ARGV 1 identity  2 the last write of this run that the server confirmed, then for each command: number of words, words
-- Reply { number of this write, reply of the last command }
local held = redis.call('HMGET', KEYS[1], 'id', 'seq')
if held[1] ~= ARGV[1] then
  return redis.error_reply('FENCED the lease was lost')
end
-- A lower number means that the server forgot writes: it came back from an older state.
local seq = tonumber(held[2] or '0')
if seq < tonumber(ARGV[2]) then
  return redis.error_reply('WENTBACK ' .. seq .. ' ' .. ARGV[2])
end
local at, reply = 3, nil
while at <= #ARGV do
  local words = tonumber(ARGV[at])
  reply = redis.call(unpack(ARGV, at + 1, at + words))
  at = at + words + 1
end
return { redis.call('HINCRBY', KEYS[1], 'seq', 1), reply }
