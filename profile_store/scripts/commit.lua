#!lua
-- The commit of one row batch in one partition: all or nothing (DESIGN §2). It validates everything first, since a script that fails midway keeps what it wrote.
--
-- KEYS  1 meta  2 ids  3 fence  4 tally:<import_seq>  5 rejects:<import_seq>      (all of one hash tag)
-- ARGV  1 token expected          2 token to leave behind       3 import_seq        4 batch_no
--       5 schema version          6 profiles before             7 packed 16-byte profile identifiers to append ('' for none)
--       8 rejects payload ('' for none)
--       9 created  10 updated  11 unchanged  12 skipped  13 rejected  14 rejected cells
--       15… address key, record, address key, record …
--       The address keys stand in ARGV and not in KEYS: they share the tag of KEYS[1], and clients hash every one of KEYS.
-- Returns {'OK', fence} | {'TOKEN', token in store} | {'SCHEMA', version in store} | {'FLOOR', floor} | {'GAP', fence} | {'APPLIED', fence}
--       TOKEN: somebody else wrote, or Redis lost writes: read the partition's state again.   FLOOR, APPLIED: done before, skip.
--       GAP: an earlier batch, or import, is not here: drop and await.
local meta = redis.call('HMGET', KEYS[1], 'token', 'schema', 'floor', 'profiles')
if meta[1] ~= ARGV[1] then return {'TOKEN', meta[1] or ''} end
local floor = tonumber(meta[3])
local import_seq, batch_no = tonumber(ARGV[3]), tonumber(ARGV[4])
local field = 'import:' .. ARGV[3]
local fence = tonumber(redis.call('HGET', KEYS[3], field) or '-1')
if import_seq <= floor then return {'FLOOR', floor} end
if import_seq > floor + 1 then return {'GAP', fence} end
if batch_no <= fence then return {'APPLIED', fence} end
if batch_no > fence + 1 then return {'GAP', fence} end
if meta[2] ~= ARGV[5] then return {'SCHEMA', meta[2]} end
if meta[4] ~= ARGV[6] then return {'TOKEN', meta[1]} end

-- First the one write that can still be refused: a string has a longest length (proto-max-bulk-len, 512 MB: 33 million profiles of one partition).
local profiles = tonumber(meta[4])
local appended = #ARGV[7]
if appended > 0 then
    redis.call('SETRANGE', KEYS[2], profiles * 16, ARGV[7])
    profiles = profiles + appended / 16
end
local last = #ARGV
local first = 15
while first <= last do
    -- 2,000 arguments at a time: Lua's stack holds 8,000.
    local upto = math.min(first + 1999, last)
    redis.call('MSET', unpack(ARGV, first, upto))
    first = upto + 1
end
if ARGV[8] ~= '' then redis.call('RPUSH', KEYS[5], ARGV[8]) end
local names = {'created', 'updated', 'unchanged', 'skipped', 'rejected', 'cells'}
for i = 1, 6 do
    if ARGV[8 + i] ~= '0' then redis.call('HINCRBY', KEYS[4], names[i], ARGV[8 + i]) end
end
redis.call('HSET', KEYS[3], field, ARGV[4])
redis.call('HSET', KEYS[1], 'token', ARGV[2], 'profiles', string.format('%.0f', profiles))
return {'OK', batch_no}
