#!lua
-- A worker takes a partition over: its token shuts out whoever held it before (a zombie's commit is refused from here on).
-- KEYS  1 meta  2 fence  3 outbox
-- ARGV  1 token to leave behind
-- Returns {floor, profiles, schema version, import that takes no more row batches ('' for none), word for what its segments are ('' for none),
--          fence as a flat list of fields and values, outbox likewise}, or nothing where the partition was never made.
local meta = redis.call('HMGET', KEYS[1], 'floor', 'profiles', 'schema', 'closing', 'segments')
if not meta[1] then return nil end
redis.call('HSET', KEYS[1], 'token', ARGV[1])
return {meta[1], meta[2], meta[3], meta[4] or '', meta[5] or '', redis.call('HGETALL', KEYS[2]), redis.call('HGETALL', KEYS[3])}
