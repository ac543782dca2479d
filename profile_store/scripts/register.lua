#!lua
-- A number in the domain's sequence, once for the same work.
-- KEYS  1 sequence  2 open  3 schema  4 ledger of the goal  5 nothing, as in commit.lua      (all of one hash tag)
-- ARGV  1 identity of the work   2 the registration as JSON   3 schema version it was made with, or on
--       4 prefix of registration keys   5 the new schema as JSON ('' unless this is a change of schema)
--       6 field of the file in the ledger ('' for a change of schema)   7 the file's identity   8 the configuration's
--       9 the last number that may have been given ('' for any)
--       10 the file's last import in the ledger as it was judged ('0': none; '' where nobody judged)
-- Returns {import_seq, 1 if it is new else 0}, or {'SCHEMA'} where the schema, the sequence, or the file in the ledger, has moved on.
--       Work that is over keeps its number too: who saw a new file may be slower than another run that has imported it meanwhile, or failed at it.
local known = redis.call('HGET', KEYS[2], ARGV[1])
if known then return {tonumber(known), 0} end
local noted = ARGV[6] ~= '' and redis.call('HGET', KEYS[4], ARGV[6])
local last = '0'
if noted then
    local entry = cjson.decode(noted)
    last = string.format('%.0f', entry.import_seq)
    local moved = ARGV[10] ~= '' and last ~= ARGV[10]
    if (entry.state == 'COMPLETE' or moved) and entry.file == ARGV[7] and entry.configuration == ARGV[8] then return {entry.import_seq, 0} end
end
if ARGV[10] ~= '' and last ~= ARGV[10] then return {'SCHEMA'} end
local schema = redis.call('GET', KEYS[3])
if not schema or cjson.decode(schema).version ~= tonumber(ARGV[3]) then return {'SCHEMA'} end
if ARGV[9] ~= '' and (redis.call('GET', KEYS[1]) or '0') ~= ARGV[9] then return {'SCHEMA'} end
local import_seq = redis.call('INCR', KEYS[1])
redis.call('SET', ARGV[4] .. string.format('%.0f', import_seq), ARGV[2])
redis.call('HSET', KEYS[2], ARGV[1], string.format('%.0f', import_seq))
if ARGV[5] ~= '' then redis.call('SET', KEYS[3], ARGV[5]) end
return {import_seq, 1}
