#!lua
-- What was built of some generations, put together with what commits wrote meanwhile (docs/adr/0019): a profile that a commit has touched since the
-- generation began is as that commit left it, any other as it was built.
-- KEYS  1 meta  2 segment-generations  3 nothing, as in commit.lua
-- ARGV  1 the partition's tag   2 a fresh word for what the partition's segments are   then id.generation, bits built …
-- Returns how many were completed: one that is not being built any more is left alone.
local done = 0
for at = 3, #ARGV, 2 do
    local pair = ARGV[at]
    if redis.call('HGET', KEYS[2], pair) == 'building' then
        local generation = string.match(pair, '%.(%d+)$')
        local members, touched = ARGV[1] .. 'segment-members:' .. pair, ARGV[1] .. 'segment-touched:' .. generation
        local built, part = ARGV[1] .. 'segment-built:' .. pair, ARGV[1] .. 'segment-built:' .. pair .. ':part'
        redis.call('SET', built, ARGV[at + 1])
        redis.call('BITOP', 'AND', part, built, touched)
        redis.call('BITOP', 'XOR', built, built, part)
        redis.call('BITOP', 'AND', part, members, touched)
        redis.call('BITOP', 'OR', members, built, part)
        redis.call('UNLINK', built, part)
        redis.call('HSET', KEYS[2], pair, 'complete')
        done = done + 1
    end
end
if done == 0 then return 0 end
local building = {}
local there = redis.call('HGETALL', KEYS[2])
for at = 1, #there, 2 do
    if there[at + 1] == 'building' then building[string.match(there[at], '%.(%d+)$')] = true end
end
for at = 3, #ARGV, 2 do
    local generation = string.match(ARGV[at], '%.(%d+)$')
    if not building[generation] then redis.call('UNLINK', ARGV[1] .. 'segment-touched:' .. generation) end
end
redis.call('HSET', KEYS[1], 'segments', string.match(redis.call('HGET', KEYS[1], 'segments'), '^%d+') .. '.' .. ARGV[2])
return done
