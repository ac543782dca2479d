#!lua
-- An import is over in this partition: from here on its messages are refused for ever. Its counts stay until drop_import.
-- KEYS  1 meta
-- ARGV  1 import_seq   2 schema version to leave behind ('' keeps the one there)
-- Returns the floor. Raising twice is harmless; raising over a gap is refused.
local floor = tonumber(redis.call('HGET', KEYS[1], 'floor'))
local import_seq = tonumber(ARGV[1])
if floor == nil then return redis.error_reply('GAP the partition was never made') end
if import_seq <= floor then return floor end
if import_seq > floor + 1 then return redis.error_reply('GAP floor ' .. floor .. ' is below ' .. (import_seq - 1)) end
redis.call('HSET', KEYS[1], 'floor', ARGV[1])
if ARGV[2] ~= '' then redis.call('HSET', KEYS[1], 'schema', ARGV[2]) end
return import_seq
