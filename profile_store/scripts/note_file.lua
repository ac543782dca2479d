#!lua
-- The last import of a file. Whoever comes late changes nothing: an older entry would have the file imported once more.
-- KEYS  1 ledger
-- ARGV  1 field (bucket/key)   2 the entry as JSON
-- Returns 1 if it is written, 0 if the one there is of a later import, or of the same and complete.
local known = redis.call('HGET', KEYS[1], ARGV[1])
if known then
    local there, new = cjson.decode(known), cjson.decode(ARGV[2])
    if there.import_seq > new.import_seq or (there.import_seq == new.import_seq and there.state == 'COMPLETE') then return 0 end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
