-- Runs commands where the lease still is ours, in one atomic step; otherwise runs none.
-- Behind fence.lua, which checks the lease.
-- KEYS 1 lease, then what the commands touch
-- ARGV 1 identity  2 the last write of this run that the server confirmed, then for each command: number of words, words
-- Reply { number of this write, reply of the last command }
local at, reply = 3, nil
while at <= #ARGV do
  local words = tonumber(ARGV[at])
  reply = redis.call(unpack(ARGV, at + 1, at + words))
  at = at + words + 1
end
return { redis.call('HINCRBY', KEYS[1], 'seq', 1), reply }
