#!lua
-- An upload job goes from one state to another, or changes within one: all at once, or not at all.
-- KEYS  1 upload-job:<id>  2 upload-jobs-open  3 upload-jobs-by-status  4 domain      (all of one hash tag)
-- ARGV  1 id   2 the state that it must be in   3 the new state   4 a field that must be there ('' for none)
--       5 'open' or 'over': whether somebody has to look after it from here on ('' as before)
--       6 n: fields to set, then n × (name, value), then names of fields that go …
-- Returns {'OK', upload before ('' for none)} | {'STATE', the state that it is in, '' where there is no such job, or its domain is being deleted} | {'MISSING'}
local state = redis.call('EXISTS', KEYS[4]) == 1 and redis.call('HGET', KEYS[1], 'status') or ''
if state ~= ARGV[2] then return {'STATE', state} end
if ARGV[4] ~= '' and redis.call('HEXISTS', KEYS[1], ARGV[4]) == 0 then return {'MISSING'} end
local before = redis.call('HGET', KEYS[1], 'upload') or ''
redis.call('HSET', KEYS[1], 'status', ARGV[3])
if ARGV[3] ~= state then
    redis.call('HINCRBY', KEYS[3], state, -1)
    redis.call('HINCRBY', KEYS[3], ARGV[3], 1)
end
if ARGV[5] == 'open' then redis.call('SADD', KEYS[2], ARGV[1]) elseif ARGV[5] == 'over' then redis.call('SREM', KEYS[2], ARGV[1]) end
local place = 7
for _ = 1, tonumber(ARGV[6]) do
    redis.call('HSET', KEYS[1], ARGV[place], ARGV[place + 1])
    place = place + 2
end
for at = place, #ARGV do redis.call('HDEL', KEYS[1], ARGV[at]) end
return {'OK', before}
