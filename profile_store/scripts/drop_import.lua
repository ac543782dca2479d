#!lua
-- What an import kept in this partition goes, once its counts are in the run record and its rejects in S3.
-- KEYS  1 meta  2 fence  3 tally:<import_seq>  4 rejects:<import_seq>
-- ARGV  1 import_seq
-- Returns 1. Refused below the floor: without it, a late message would be applied again.
local floor = tonumber(redis.call('HGET', KEYS[1], 'floor'))
if floor == nil or tonumber(ARGV[1]) > floor then return redis.error_reply('FLOOR raise the floor first') end
redis.call('HDEL', KEYS[2], 'import:' .. ARGV[1])
redis.call('UNLINK', KEYS[3], KEYS[4])
return 1
