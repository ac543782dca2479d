#!lua
-- The commit of one group of messages in one partition: all or nothing (DESIGN §2). It validates everything first, since a script that fails midway keeps what it wrote.
--
-- KEYS  1 meta  2 ids  3 fence  4 tally:<import_seq>  5 rejects:<import_seq>  6 outbox  7 nothing, which never exists
--       8 … bitmaps by profile number of which something changes: who was imported, who is in a segment
--       (all of one hash tag; the seventh has the script refused before it starts while a cluster moves the slot)
-- ARGV  1 token expected          2 token to leave behind       3 import_seq        4 batch_no of the row batch ('' for none)
--       5 schema version          6 profiles before             7 packed 16-byte profile identifiers to append ('' for none)
--       8 rejects payload ('' for none)                         9 word for what the partition's segments are ('' where it has none)
--      10 s: neighbours heard      then s × (partition, number of its first message here, number of its last)
--         c: counts                then c × (name, change)
--         t: neighbours told       then t × (partition, number of the message, message)
--         for each of KEYS[8] …    s: its spans, then s × (first byte, bytes)
--         then prefix of address keys, packed 16-byte addresses of records, their records with a LF behind each,
--         packed pointers: address (16 bytes), profile identifier (16 bytes), packed addresses to empty, packed addresses to suppress,
--         numbers of erased profiles …
--       Addresses stand in ARGV and not in KEYS: they share the tag of KEYS[1], and clients hash every one of KEYS. They are packed, since
--       thousands of arguments cost more than cutting them here.
-- Returns {'OK'} | {'TOKEN', token in store} | {'SCHEMA', version in store} | {'SEGMENTS', word in store} | {'FLOOR', floor} | {'CLOSED'} | {'GAP', fence} | {'APPLIED', fence}
--       TOKEN: somebody else wrote, or Redis lost writes: read the partition's state again.   FLOOR, APPLIED: done before, skip.
--       SEGMENTS: definitions or bits are not as the owner knows them: read them again.
--       CLOSED: the import takes no more row batches.   GAP: an earlier batch, message or import is not here: drop and await.
local meta = redis.call('HMGET', KEYS[1], 'token', 'schema', 'floor', 'profiles', 'closing', 'segments')
if meta[1] ~= ARGV[1] then return {'TOKEN', meta[1] or ''} end
local floor = tonumber(meta[3])
local import_seq = tonumber(ARGV[3])
local field = 'import:' .. ARGV[3]
if import_seq <= floor then return {'FLOOR', floor} end
if import_seq > floor + 1 then return {'GAP', floor} end
if ARGV[4] ~= '' then
    local batch_no = tonumber(ARGV[4])
    local fence = tonumber(redis.call('HGET', KEYS[3], field) or '-1')
    if batch_no <= fence then return {'APPLIED', fence} end
    if batch_no > fence + 1 then return {'GAP', fence} end
    if meta[5] == ARGV[3] then return {'CLOSED'} end
end
local place = 11
local heard = tonumber(ARGV[10])
for _ = 1, heard do
    local last = tonumber(redis.call('HGET', KEYS[3], 'from:' .. ARGV[place]) or '-1')
    local first = tonumber(ARGV[place + 1])
    if first <= last then return {'APPLIED', last} end
    if first > last + 1 then return {'GAP', last} end
    place = place + 3
end
if meta[2] ~= ARGV[5] then return {'SCHEMA', meta[2]} end
if (meta[6] or '') ~= ARGV[9] then return {'SEGMENTS', meta[6] or ''} end
if meta[4] ~= ARGV[6] then return {'TOKEN', meta[1]} end

-- First the one write that can still be refused: a string has a longest length (proto-max-bulk-len, 512 MB: 33 million profiles of one partition).
local profiles = tonumber(meta[4])
local appended = #ARGV[7]
if appended > 0 then
    redis.call('SETRANGE', KEYS[2], profiles * 16, ARGV[7])
    profiles = profiles + appended / 16
end
place = 11
for _ = 1, heard do
    redis.call('HSET', KEYS[3], 'from:' .. ARGV[place], ARGV[place + 2])
    place = place + 3
end
local counts = tonumber(ARGV[place])
place = place + 1
for _ = 1, counts do
    redis.call('HINCRBY', KEYS[4], ARGV[place], ARGV[place + 1])
    place = place + 2
end
local told = tonumber(ARGV[place])
place = place + 1
for _ = 1, told do
    redis.call('HSET', KEYS[6], ARGV[place] .. ':' .. ARGV[place + 1], ARGV[place + 2])
    redis.call('HSET', KEYS[3], 'to:' .. ARGV[place], ARGV[place + 1])
    place = place + 3
end
for bitmap = 8, #KEYS do
    local spans = tonumber(ARGV[place])
    place = place + 1
    for _ = 1, spans do
        redis.call('SETRANGE', KEYS[bitmap], ARGV[place], ARGV[place + 1])
        place = place + 2
    end
end
local prefix, addresses, records, pointers = ARGV[place], ARGV[place + 1], ARGV[place + 2], ARGV[place + 3]
local values, n, start = {}, 0, 1
local find, sub = string.find, string.sub
local function put(address, value)
    values[n + 1], values[n + 2] = prefix .. address, value
    n = n + 2
    if n == 400 then
        redis.call('MSET', unpack(values, 1, n))
        n = 0
    end
end
for at = 1, #addresses, 16 do
    local stop = find(records, '\n', start, true)
    put(sub(addresses, at, at + 15), sub(records, start, stop - 1))
    start = stop + 1
end
for at = 1, #pointers, 32 do put(sub(pointers, at, at + 15), 'P1' .. sub(pointers, at + 16, at + 31)) end
local suppressed = ARGV[place + 5]
for at = 1, #suppressed, 16 do put(sub(suppressed, at, at + 15), 'S1') end
if n > 0 then redis.call('MSET', unpack(values, 1, n)) end
local emptied = ARGV[place + 4]
for at = 1, #emptied, 16 do redis.call('UNLINK', prefix .. sub(emptied, at, at + 15)) end
for at = place + 6, #ARGV do redis.call('SETRANGE', KEYS[2], tonumber(ARGV[at]) * 16, string.rep('\0', 16)) end
if ARGV[8] ~= '' then redis.call('RPUSH', KEYS[5], ARGV[8]) end
if ARGV[4] ~= '' then redis.call('HSET', KEYS[3], field, ARGV[4]) end
redis.call('HSET', KEYS[1], 'token', ARGV[2], 'profiles', string.format('%.0f', profiles))
return {'OK'}
