-- Drops a plain index that hides an alias, and lets the alias lead to another index, with no moment in between.
-- FT.DROPINDEX follows aliases, so it is sent only while the name is that of an index.
-- Behind fence.lua, which checks the lease.
-- KEYS 1 lease
-- ARGV 1 identity  2 the last write of this run that the server confirmed  3 name  4 the index to lead to, "" for none
--      then for each command that is run afterwards: number of words, words
-- Reply { number of this write, 1 where a plain index was dropped }
local function plain(value)
  return type(value) == 'table' and (value.ok or value.err) or value
end
local dropped = 0
local info = redis.pcall('FT.INFO', ARGV[3])
if not info.err then
  for i = 1, #info, 2 do
    if plain(info[i]) == 'index_name' and plain(info[i + 1]) == ARGV[3] then
      redis.call('FT.DROPINDEX', ARGV[3])
      dropped = 1
    end
  end
end
if ARGV[4] ~= '' then redis.call('FT.ALIASUPDATE', ARGV[3], ARGV[4]) end
local at = 5
while at <= #ARGV do
  local words = tonumber(ARGV[at])
  redis.call(unpack(ARGV, at + 1, at + words))
  at = at + words + 1
end
return { redis.call('HINCRBY', KEYS[1], 'seq', 1), dropped }
