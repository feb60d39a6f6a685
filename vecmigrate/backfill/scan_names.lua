-- The next names of a legacy hash, and how long their texts are: so nothing is fetched that is too long to be used, and
-- no batch is larger than a client can hold.
--
-- KEYS  1 legacy embeddings  2 legacy metadata   ARGV  1 cursor  2 how many names to look for
-- Reply { next cursor, names, lengths of the vectors' texts, lengths of the metadata }
local found = redis.pcall('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2], 'NOVALUES')
local step = 1
if found['err'] then
  -- Before Redis 7.4 the values come along, as far as this script.
  found = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
  step = 2
end
local names, vectors, metadata = {}, {}, {}
for at = 1, #found[2], step do
  local name = found[2][at]
  names[#names + 1] = name
  vectors[#vectors + 1] = redis.call('HSTRLEN', KEYS[1], name)
  metadata[#metadata + 1] = redis.call('HSTRLEN', KEYS[2], name)
end
return { found[1], names, vectors, metadata }
