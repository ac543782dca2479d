#!lua
-- A change of a domain's segments gets its number, and is from here on what people read; workers learn of it in its turn.
-- KEYS  1 sequence  2 open  3 segments  4 schema  5 nothing, as in commit.lua      (all of one hash tag)
-- ARGV  1 identity of the work   2 the registration as JSON   3 prefix of registration keys   4 revision that it was made from
--       5 the segments as JSON   6 schema version that it was made with
--       7 d: new segments        then d × (id, what is to be kept of it as JSON), then ids of segments that are gone …
-- Returns {import_seq, 1 if it is new else 0}, or {'MOVED'} where the segments or the schema have moved on.
local known = redis.call('HGET', KEYS[2], ARGV[1])
if known then return {tonumber(known), 0} end
if (redis.call('HGET', KEYS[3], 'revision') or '0') ~= ARGV[4] then return {'MOVED'} end
local schema = redis.call('GET', KEYS[4])
if not schema or cjson.decode(schema).version ~= tonumber(ARGV[6]) then return {'MOVED'} end
local import_seq = string.format('%.0f', redis.call('INCR', KEYS[1]))
redis.call('SET', ARGV[3] .. import_seq, ARGV[2])
redis.call('HSET', KEYS[2], ARGV[1], import_seq)
redis.call('HSET', KEYS[3], 'document', ARGV[5], 'import_seq', import_seq, 'revision', string.format('%.0f', tonumber(ARGV[4]) + 1))
local gone = 8 + 2 * tonumber(ARGV[7])
for at = 8, gone - 1, 2 do redis.call('HSET', KEYS[3], 'details:' .. ARGV[at], ARGV[at + 1]) end
for at = gone, #ARGV do redis.call('HDEL', KEYS[3], 'live:' .. ARGV[at], 'details:' .. ARGV[at]) end
return {tonumber(import_seq), 1}
