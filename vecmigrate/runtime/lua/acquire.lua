-- Takes the lease where nobody holds it, and gives out the next fencing token.
-- KEYS 1 lease  2 fence   ARGV 1 runner  2 time to live (ms)  3... field, value of the holder's description
-- Reply { token, {} } or { 0, { field, value, ... }, milliseconds left }
if redis.call('EXISTS', KEYS[1]) == 1 then
  return { 0, redis.call('HGETALL', KEYS[1]), redis.call('PTTL', KEYS[1]) }
end
local token = redis.call('INCR', KEYS[2])
redis.call('HSET', KEYS[1], 'id', token .. ':' .. ARGV[1], 'token', token, unpack(ARGV, 3))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return { token, {} }
