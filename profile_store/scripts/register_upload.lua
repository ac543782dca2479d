#!lua
-- The import of an upload job gets its number, once for the job, whoever asks and however often.
-- KEYS  1 sequence  2 open  3 schema  4 upload-job:<id>  5 nothing, as in commit.lua      (all of one hash tag)
-- ARGV  1 identity of the work   2 the registration as JSON   3 schema version it was made with   4 prefix of registration keys
-- Returns {import_seq, 1 if it is new else 0} | {'SCHEMA'}: the schema has moved on | {'STOPPED'}: the job is not to be imported any more
local known = redis.call('HGET', KEYS[4], 'import_seq') or redis.call('HGET', KEYS[2], ARGV[1])
if known then return {tonumber(known), 0} end
if redis.call('HGET', KEYS[4], 'status') ~= 'IN_PROGRESS' or redis.call('HEXISTS', KEYS[4], 'stop') == 1 then return {'STOPPED'} end
local schema = redis.call('GET', KEYS[3])
if not schema or cjson.decode(schema).version ~= tonumber(ARGV[3]) then return {'SCHEMA'} end
local import_seq = string.format('%.0f', redis.call('INCR', KEYS[1]))
redis.call('SET', ARGV[4] .. import_seq, ARGV[2])
redis.call('HSET', KEYS[2], ARGV[1], import_seq)
redis.call('HSET', KEYS[4], 'import_seq', import_seq)
return {tonumber(import_seq), 1}
