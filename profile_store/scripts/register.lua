#!lua
-- A number in the domain's sequence, once for the same work.
-- KEYS  1 sequence  2 open  3 schema
-- ARGV  1 identity of the work   2 the registration as JSON   3 schema version it was made with ('' for a change of schema)
--       4 prefix of registration keys   5 the new schema as JSON ('' unless this is a change of schema)
-- Returns {import_seq, 1 if it is new else 0}, or {'SCHEMA'} where the schema has moved on.
local known = redis.call('HGET', KEYS[2], ARGV[1])
if known then return {tonumber(known), 0} end
if ARGV[3] ~= '' then
    local schema = redis.call('GET', KEYS[3])
    if not schema or cjson.decode(schema).version ~= tonumber(ARGV[3]) then return {'SCHEMA'} end
end
local import_seq = redis.call('INCR', KEYS[1])
redis.call('SET', ARGV[4] .. string.format('%.0f', import_seq), ARGV[2])
redis.call('HSET', KEYS[2], ARGV[1], string.format('%.0f', import_seq))
if ARGV[5] ~= '' then redis.call('SET', KEYS[3], ARGV[5]) end
return {import_seq, 1}
