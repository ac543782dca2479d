#!lua
-- What a replay rejected again may be replayed again; so may cells that it rejected of rows that it applied.
-- KEYS  1 floor of the domain   2 replayed:<import_seq of the rejects>      (all of one hash tag)
-- ARGV  1 import_seq of the replay   2 … marks of rejects
-- Returns 1; 0 where the replay is over. Harmless to repeat while it is not.
local taker = tonumber(ARGV[1])
if taker <= tonumber(redis.call('GET', KEYS[1]) or '0') then return 0 end
for place = 2, #ARGV do
    local held = redis.call('HGET', KEYS[2], ARGV[place])
    if not held or held == ARGV[1] then redis.call('HSET', KEYS[2], ARGV[place], '-' .. ARGV[1]) end
end
return 1
