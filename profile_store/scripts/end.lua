#!lua
-- The turn goes to the next import of the domain. Whoever comes late changes nothing: the domain may be further by now.
-- KEYS  1 open  2 floor  3 lease:<import_seq>      (all of one hash tag)
-- ARGV  1 identity of the work   2 import_seq
-- Returns the floor. Ending an import twice is harmless; ending one that has not its turn is refused.
local floor = tonumber(redis.call('GET', KEYS[2]) or '0')
local import_seq = tonumber(ARGV[2])
if import_seq > floor + 1 then return redis.error_reply('GAP import ' .. (floor + 1) .. ' is not over yet') end
-- The same work may be open again under a number of its own: that is not ours to close.
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end
if import_seq <= floor then return floor end
redis.call('SET', KEYS[2], ARGV[2])
redis.call('UNLINK', KEYS[3])
return import_seq
