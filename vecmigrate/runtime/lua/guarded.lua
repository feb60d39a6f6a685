-- Runs commands where the lease still is ours, in one atomic step; otherwise runs none.
-- KEYS 1 lease, then what the commands touch   ARGV 1 identity, then for each command: number of words, words
-- Reply: that of the last command.
if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then
  return redis.error_reply('FENCED the lease was lost')
end
local at, reply = 2, nil
while at <= #ARGV do
  local words = tonumber(ARGV[at])
  reply = redis.call(unpack(ARGV, at + 1, at + words))
  at = at + words + 1
end
return reply
