#!lua
-- An import that fails takes no more row batches in this partition; what its partitions still have to say to each other goes on.
-- KEYS  1 meta
-- ARGV  1 import_seq
-- Returns 1. Harmless to repeat; later than the import's end it does nothing.
local floor = tonumber(redis.call('HGET', KEYS[1], 'floor'))
if floor == nil then return redis.error_reply('GAP the partition was never made') end
if tonumber(ARGV[1]) == floor + 1 then redis.call('HSET', KEYS[1], 'closing', ARGV[1]) end
return 1
