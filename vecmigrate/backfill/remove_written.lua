-- Deletes documents that a backfill wrote and strikes them from its accounts. The caller watches the documents and has
-- seen that they still are what was written.
--
-- KEYS 1 lease  2 items   ARGV 1 identity of the lease  2 prefix of the documents  3... names
if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then
  return redis.error_reply('FENCED the lease was lost')
end
for at = 3, #ARGV do
  redis.call('DEL', ARGV[2] .. ARGV[at])
end
return redis.call('HDEL', KEYS[2], unpack(ARGV, 3))
