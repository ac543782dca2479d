#!lua flags=no-writes
-- The members of some segments in one partition, all of one commit version. It takes the server's time for as long as it reads: about a second for a
-- million members. So readers try to do without, chunk by chunk (docs/adr/0020).
-- KEYS  1 segment-generations  2 ids  3 nothing, as in commit.lua  4 … segment-members:<pair> of each segment
-- ARGV  1 prefix of address keys   2 members in a chunk   3 … pair of each segment
-- Returns {{bitmap, …}, {packed identifiers of a chunk, …}, {its records with a LF between them, …}}; members are those of the first bitmap.
--         Nothing where a generation is not whole, or gone.
-- Addresses are no KEYS: they share the tag of the keys, as in commit.lua.
for at = 3, #ARGV do
    if redis.call('HGET', KEYS[1], ARGV[at]) ~= 'complete' then return nil end
end
local ids = redis.call('GET', KEYS[2]) or ''
local bitmaps = {}
for at = 4, #KEYS do bitmaps[at - 3] = redis.call('GET', KEYS[at]) or '' end
local most = tonumber(ARGV[2])
local found_ids, found_records = {}, {}
local names, identifiers, n = {}, {}, 0
local function flush()
    if n == 0 then return end
    local records = redis.call('MGET', unpack(names, 1, n))
    for at = 1, n do records[at] = records[at] or '' end
    found_ids[#found_ids + 1] = table.concat(identifiers, '', 1, n)
    found_records[#found_records + 1] = table.concat(records, '\n', 1, n)
    n = 0
end
local byte, sub = string.byte, string.sub
local bits = bitmaps[1]
for at = 1, #bits do
    local value = byte(bits, at)
    local mask, number = 128, (at - 1) * 8
    while value > 0 do
        if value >= mask then
            value = value - mask
            n = n + 1
            identifiers[n] = sub(ids, number * 16 + 1, number * 16 + 16)
            names[n] = ARGV[1] .. identifiers[n]
            if n == most then flush() end
        end
        mask, number = mask / 2, number + 1
    end
end
flush()
return {bitmaps, found_ids, found_records}
