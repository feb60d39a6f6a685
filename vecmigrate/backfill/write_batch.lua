-- Writes one batch of a backfill: lease, source and destination are checked and the documents, the accounts and the
-- cursor are written in one atomic step.
--
-- KEYS  1 lease  2 steps  3 items  4 rejects  5 legacy embeddings  6 legacy metadata
-- ARGV  1 identity of the lease, "" where no ledger is kept
--       2 prefix of this step's fields       3 next cursor, or "done"    4 run_id of the server that gave it
--       5 "1": compare each source text (sha1) because the source changed since it was read; else "0"
--       6 "1": this is the verify pass, which keeps no cursor; else "0"
--       7 step number                        8 prefix of the documents
--       9 number of items                   10 number of rejected items
--      11 "1": each item has five more words, below in brackets; else "0"
--      12 the newest number of the fence that the caller knows of ("0" where no ledger is kept)
--      13 number of fields, and their names
--      then for each item: name, digest, "" or a mask of the fields it has ("101"),
--                          [expiry (ms since 1970, "0" none), digest of the document to be replaced or "",
--                           sha1 of the vector text, sha1 of the metadata text, remark or "",]
--                          the values of its fields
--      then for each rejected item: name, key of the source, reason
-- Reply { written, existing, rejected, refreshed, { positions (from 1) whose source changed }, remarks,
--         { position, type, ... of items whose document's key is of another type }, microseconds taken (-1: not known),
--         number of the fence }
--
-- items: name → "w" .. digest (written), "e" (existed before), "r" (rejected). Behind "r", and behind the twelve bytes
-- of a digest where there was a remark, stands the id of the entry in rejects. An item is counted once, however often
-- a scan brings it up; one that was rejected and then mended at the source is rejected no more, and its entry goes.

-- So many values at most are passed to one command (an even number): Lua's stack holds no more than 8,000, and HSCAN
-- may return a whole hash where the server is set to keep it in one piece.
local CHUNK = 2000
-- The time in between, as the server's own clock stands still while a script runs. Not every version has this one.
local clock = os and os.clock
local began = clock and clock()
local books, fence = ARGV[1] ~= '', 0
if books then
  if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then
    return redis.error_reply('FENCED the lease was lost')
  end
  fence = tonumber(redis.call('HGET', KEYS[1], 'seq') or 0)
  if fence < tonumber(ARGV[12]) then
    return redis.error_reply('WENTBACK ' .. fence .. ' ' .. ARGV[12])
  end
  fence = redis.call('HINCRBY', KEYS[1], 'seq', 1)
end
local compare, verifying, extended = ARGV[5] == '1', ARGV[6] == '1', ARGV[11] == '1'
local prefix, count, aside, fields = ARGV[8], tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[13])
local before = extended and 8 or 3

local function same(key, name, sum)
  local text = redis.call('HGET', key, name)
  return redis.sha1hex(text or '') == sum
end

-- kind: 'rejected', or 'remark' for an item that was written although something was amiss
local function tell(kind, name, source, reason)
  return redis.call('XADD', KEYS[4], '*',
    'step', ARGV[7], 'kind', kind, 'source', source, 'field', name, 'reason', reason)
end

-- The words of HSET after the key, names and values in turn; used anew for each item.
local words, full = {}, 2 * fields
for f = 1, fields do words[2 * f - 1] = ARGV[13 + f] end

-- Writes the document whose values start at `from` of ARGV.
local function store(key, mask, from, expiry)
  if mask == '' then
    for f = 1, fields do words[2 * f] = ARGV[from + f - 1] end
    redis.call('HSET', key, unpack(words, 1, full))
  else
    local some = {}
    for f = 1, fields do
      if string.sub(mask, f, f) == '1' then
        some[#some + 1] = ARGV[13 + f]
        some[#some + 1] = ARGV[from]
        from = from + 1
      end
    end
    redis.call('HSET', key, unpack(some))
  end
  if expiry ~= '0' then redis.call('PEXPIREAT', key, expiry) end
end

local function width(mask)
  if mask == '' then return before + fields end
  local _, present = string.gsub(mask, '1', '')
  return before + present
end

local written, existing, rejected, refreshed, remarks, changed, notes, foreign = 0, 0, 0, 0, 0, {}, {}, {}

-- Takes back what was told of an item under its old mark.
local function retract(mark)
  local aside = string.sub(mark, 1, 1) == 'r'
  local entry = string.sub(mark, aside and 2 or 14)
  if aside then rejected = rejected - 1 end
  if entry == '' then return end
  if not aside then remarks = remarks - 1 end
  redis.call('XDEL', KEYS[4], entry)
end

-- The mark of a document that was written; a remark is told, where there is one.
local function mark_written(name, digest, remark)
  if remark == '' then return 'w' .. digest end
  remarks = remarks + 1
  return 'w' .. digest .. (books and tell('remark', name, KEYS[6], remark) or '')
end

local at = 14 + fields
local known = {}
if books and count > 0 then
  local names, i = {}, at
  for n = 1, count do
    names[n] = ARGV[i]
    i = i + width(ARGV[i + 2])
  end
  for from = 1, count, CHUNK do
    local marks = redis.call('HMGET', KEYS[3], unpack(names, from, math.min(from + CHUNK - 1, count)))
    for n = 1, #marks do known[from + n - 1] = marks[n] end
  end
end

for n = 1, count do
  local name, digest, mask = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local expiry, replace, remark = '0', '', ''
  if extended then expiry, replace, remark = ARGV[at + 3], ARGV[at + 4], ARGV[at + 7] end
  local mark = known[n]
  local new = not mark or string.sub(mark, 1, 1) == 'r'
  if new or replace ~= '' then
    local key = prefix .. name
    if compare and not (redis.call('HEXISTS', KEYS[5], name) == 1 and same(KEYS[5], name, ARGV[at + 5])
        and same(KEYS[6], name, ARGV[at + 6])) then
      changed[#changed + 1] = n
    elseif replace ~= '' then
      -- The destination is watched by the caller, who has seen that it still is what we wrote.
      if mark and string.sub(mark, 1, 13) == 'w' .. replace and redis.call('EXISTS', key) == 1 then
        local until_now = redis.call('PEXPIRETIME', key)
        if expiry == '0' and until_now > 0 then expiry = until_now end
        redis.call('DEL', key)
        store(key, mask, at + before, expiry)
        retract(mark)
        notes[#notes + 1] = name
        notes[#notes + 1] = mark_written(name, digest, remark)
        refreshed = refreshed + 1
      end
    else
      local kind = redis.call('TYPE', key)['ok']
      if mark then retract(mark) end
      notes[#notes + 1] = name
      if kind == 'none' then
        store(key, mask, at + before, expiry)
        notes[#notes + 1] = mark_written(name, digest, remark)
        written = written + 1
      elseif kind == 'hash' then
        notes[#notes + 1] = 'e'
        existing = existing + 1
      else
        foreign[#foreign + 1] = n
        foreign[#foreign + 1] = kind
        rejected = rejected + 1
        notes[#notes + 1] = 'r' .. (books and tell('rejected', name, KEYS[5], 'the key ' .. key .. ' is taken: its type is '
          .. kind .. ' (expected hash, or no key)') or '')
      end
    end
  end
  at = at + width(mask)
end

for _ = 1, aside do
  local name = ARGV[at]
  if not books then
    rejected = rejected + 1
  elseif redis.call('HEXISTS', KEYS[3], name) == 0 then
    rejected = rejected + 1
    redis.call('HSET', KEYS[3], name, 'r' .. tell('rejected', name, ARGV[at + 1], ARGV[at + 2]))
  end
  at = at + 3
end

if books then
  for from = 1, #notes, CHUNK do
    redis.call('HSET', KEYS[3], unpack(notes, from, math.min(from + CHUNK - 1, #notes)))
  end
  local p = ARGV[2]
  if written > 0 then redis.call('HINCRBY', KEYS[2], p .. 'done', written) end
  if existing > 0 then redis.call('HINCRBY', KEYS[2], p .. 'skipped', existing) end
  if remarks ~= 0 then redis.call('HINCRBY', KEYS[2], p .. 'remarks', remarks) end
  if rejected ~= 0 then redis.call('HINCRBY', KEYS[2], p .. 'rejected', rejected) end
  if not verifying then
    redis.call('HSET', KEYS[2], p .. 'cursor', ARGV[3], p .. 'run_id', ARGV[4])
  end
end
local taken = clock and math.floor((clock() - began) * 1000000) or -1
return { written, existing, rejected, refreshed, changed, remarks, foreign, taken, fence }
