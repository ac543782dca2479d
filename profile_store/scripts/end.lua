#!lua
-- An import is over: its file is noted and the turn goes to the next import of the domain, both at once. A file that were noted before would keep
-- every later run from the end that is still to be made.
-- KEYS  1 open  2 floor  3 lease:<import_seq>  4 ledger of the goal      (all of one hash tag)
-- ARGV  1 identity of the work   2 import_seq   3 field of the file in the ledger (bucket/key; '' for none)   4 its entry as JSON
-- Returns the floor. Whoever comes late changes nothing: the domain may be further by now. Ending an import that has not its turn is refused.
local floor = tonumber(redis.call('GET', KEYS[2]) or '0')
local import_seq = tonumber(ARGV[2])
if import_seq > floor + 1 then return redis.error_reply('GAP import ' .. (floor + 1) .. ' is not over yet') end
-- The same work may be open again under a number of its own: that is not ours to close.
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end
if import_seq <= floor then return floor end
if ARGV[3] ~= '' then redis.call('HSET', KEYS[4], ARGV[3], ARGV[4]) end
redis.call('SET', KEYS[2], ARGV[2])
redis.call('UNLINK', KEYS[3])
return import_seq
