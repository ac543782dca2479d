#!lua
-- A change of segments has its turn in this partition: from here on workers write the bits of the new generations, too, and mark the profiles they touch.
-- KEYS  1 meta  2 segment-generations  3 nothing, as in commit.lua
-- ARGV  1 import_seq   2 the partition's tag   then id.generation of every segment that there is now …
-- Returns the floor. As raise_floor: twice is harmless, over a gap is refused. A generation that is whole stays while its segment is there, since it may be
-- live; of one that was never built nobody will read. Where there is no profile there is nothing to build.
local meta = redis.call('HMGET', KEYS[1], 'floor', 'profiles')
local floor = tonumber(meta[1])
local import_seq = tonumber(ARGV[1])
if floor == nil then return redis.error_reply('GAP the partition was never made') end
if import_seq <= floor then return floor end
if import_seq > floor + 1 then return redis.error_reply('GAP floor ' .. floor .. ' is below ' .. (import_seq - 1)) end
local wanted, ids = {}, {}
for at = 3, #ARGV do
    wanted[ARGV[at]] = true
    ids[string.match(ARGV[at], '^%d+')] = true
end
local building, left = {}, {}
local there = redis.call('HGETALL', KEYS[2])
for at = 1, #there, 2 do
    local pair, state = there[at], there[at + 1]
    local id, generation = string.match(pair, '^(%d+)%.(%d+)$')
    if wanted[pair] or (ids[id] and state == 'complete') then
        if state == 'building' then building[generation] = true end
    else
        redis.call('HDEL', KEYS[2], pair)
        redis.call('UNLINK', ARGV[2] .. 'segment-members:' .. pair)
        left[generation] = true
    end
end
for generation in pairs(left) do
    if not building[generation] then redis.call('UNLINK', ARGV[2] .. 'segment-touched:' .. generation) end
end
local state = meta[2] == '0' and 'complete' or 'building'
for pair in pairs(wanted) do redis.call('HSETNX', KEYS[2], pair, state) end
redis.call('HSET', KEYS[1], 'floor', ARGV[1], 'segments', ARGV[1])
return import_seq
