#!lua
-- A replay whose turn it is takes rejects, each of which another replay may not have taken with success.
-- KEYS  1 floor of the domain   2 replayed:<import_seq of the rejects>      (all of one hash tag)
-- ARGV  1 import_seq of the replay   2 … marks of rejects
-- Returns 1; 0 where the replay is over: whoever comes late must not take what it gave back.
--       A mark holds the replay that took it, negative where the reject was rejected there again: then the next may take it.
local taker = tonumber(ARGV[1])
local floor = tonumber(redis.call('GET', KEYS[1]) or '0')
if taker <= floor then return 0 end
if taker > floor + 1 then return redis.error_reply('GAP import ' .. (floor + 1) .. ' is not over yet') end
for place = 2, #ARGV do
    local held = tonumber(redis.call('HGET', KEYS[2], ARGV[place]) or '-1')
    if held < 0 and held ~= -taker then redis.call('HSET', KEYS[2], ARGV[place], ARGV[1]) end
end
return 1
