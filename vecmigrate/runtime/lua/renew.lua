-- Keeps the lease for another while, or gives it back (time to live 0), where it still is ours.
-- KEYS 1 lease   ARGV 1 identity  2 time to live (ms)
if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then redis.call('DEL', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1
