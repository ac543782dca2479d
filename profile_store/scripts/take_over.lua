#!lua
-- A worker takes a partition over: its token shuts out whoever held it before (a zombie's commit is refused from here on).
-- KEYS  1 meta  2 fence
-- ARGV  1 token to leave behind
-- Returns {floor, profiles, schema version, fence as a flat list of fields and values}, or nothing where the partition was never made.
local meta = redis.call('HMGET', KEYS[1], 'floor', 'profiles', 'schema')
if not meta[1] then return nil end
redis.call('HSET', KEYS[1], 'token', ARGV[1])
return {meta[1], meta[2], meta[3], redis.call('HGETALL', KEYS[2])}
