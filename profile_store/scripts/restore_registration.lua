#!lua
-- A registration that the store lost, put back under its number (`headrace recover`). What is there is never overwritten.
-- KEYS  1 sequence  2 open  3 schema  4 import:<import_seq>  5 segments      (all of one hash tag)
-- ARGV  1 import_seq   2 the registration as JSON   3 its token   4 identity of the work   5 the new schema as JSON ('' unless it is a change of schema)
--       6 the segments as JSON ('' unless it is a change of segments)   7 their revision
--       then of each new segment its id and what is kept of it as JSON …
-- Returns OK | THERE: it was not lost | TAKEN: the number is other work's | GAP: one before it is missing.
local there = redis.call('GET', KEYS[4])
if there then
    if cjson.decode(there).token == ARGV[3] then return 'THERE' end
    return 'TAKEN'
end
if tonumber(redis.call('GET', KEYS[1]) or '0') + 1 ~= tonumber(ARGV[1]) then return 'GAP' end
redis.call('SET', KEYS[1], ARGV[1])
redis.call('SET', KEYS[4], ARGV[2])
redis.call('HSET', KEYS[2], ARGV[4], ARGV[1])
if ARGV[5] ~= '' then
    local schema = redis.call('GET', KEYS[3])
    if not schema or cjson.decode(schema).version < cjson.decode(ARGV[5]).version then redis.call('SET', KEYS[3], ARGV[5]) end
end
for at = 8, #ARGV, 2 do redis.call('HSETNX', KEYS[5], 'details:' .. ARGV[at], ARGV[at + 1]) end
if ARGV[6] ~= '' and tonumber(redis.call('HGET', KEYS[5], 'revision') or '0') < tonumber(ARGV[7]) then
    redis.call('HSET', KEYS[5], 'document', ARGV[6], 'import_seq', ARGV[1], 'revision', ARGV[7])
end
return 'OK'
