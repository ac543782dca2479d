#!lua flags=no-writes
-- Which of some profiles are in a segment, each as its record is at this moment.
-- KEYS  1 segment-generations  2 segment-members:<id>.<generation>  3 nothing, as in commit.lua
-- ARGV  1 id.generation   2 prefix of address keys   then 16-byte profile identifiers …
-- Returns {state of the generation ('' where it is gone), 1 | 0 | -1 where there is no such profile, …}
local found = {redis.call('HGET', KEYS[1], ARGV[1]) or ''}
for at = 3, #ARGV do
    local record = redis.call('GET', ARGV[2] .. ARGV[at])
    local number = record and string.match(record, '^R1\031(%d+)')
    found[#found + 1] = number and redis.call('GETBIT', KEYS[2], number) or -1
end
return found
