#!lua
-- Generations that are whole in every partition become what people read, all at once.
-- KEYS  1 segments
-- ARGV  id, generation …
-- Returns how many changed. An older generation never replaces a newer one.
local changed = 0
for at = 1, #ARGV, 2 do
    local field = 'live:' .. ARGV[at]
    if tonumber(redis.call('HGET', KEYS[1], field) or '0') < tonumber(ARGV[at + 1]) then
        redis.call('HSET', KEYS[1], field, ARGV[at + 1])
        changed = changed + 1
    end
end
return changed
