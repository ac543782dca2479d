#!lua flags=no-writes
-- What a partition's owner keeps of its segments, in one moment.
-- KEYS  1 meta  2 segment-generations  3 nothing, as in commit.lua
-- ARGV  1 the partition's tag
-- Returns {token, word for what the segments are, {id.generation, state, bits, …}, {generation being built, bits of who was touched, …}}
local members, touched, seen = {}, {}, {}
local there = redis.call('HGETALL', KEYS[2])
for at = 1, #there, 2 do
    local pair, state = there[at], there[at + 1]
    local generation = string.match(pair, '%.(%d+)$')
    members[#members + 1], members[#members + 2], members[#members + 3] = pair, state, redis.call('GET', ARGV[1] .. 'segment-members:' .. pair) or ''
    if state == 'building' and not seen[generation] then
        seen[generation] = true
        touched[#touched + 1], touched[#touched + 2] = generation, redis.call('GET', ARGV[1] .. 'segment-touched:' .. generation) or ''
    end
end
return {redis.call('HGET', KEYS[1], 'token') or '', redis.call('HGET', KEYS[1], 'segments') or '', members, touched}
