#!lua
-- Generations that nobody reads any more, since a newer one of their segments is live.
-- KEYS  1 meta  2 segment-generations  3 nothing, as in commit.lua
-- ARGV  1 the partition's tag   2 a fresh word for what the partition's segments are   then id.generation …
-- Returns how many were there.
local done = 0
for at = 3, #ARGV do
    if redis.call('HDEL', KEYS[2], ARGV[at]) == 1 then
        redis.call('UNLINK', ARGV[1] .. 'segment-members:' .. ARGV[at])
        done = done + 1
    end
end
if done > 0 then redis.call('HSET', KEYS[1], 'segments', string.match(redis.call('HGET', KEYS[1], 'segments'), '^%d+') .. '.' .. ARGV[2]) end
return done
