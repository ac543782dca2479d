#!lua
-- What an export has exported counts as exported by its connection. Again changes nothing.
-- KEYS  1 seen-profiles:<connection>:out  2 exporting-profiles:<export id>
-- Returns nothing.
if redis.call('EXISTS', KEYS[2]) == 1 then
    redis.call('BITOP', 'OR', KEYS[1], KEYS[1], KEYS[2])
    redis.call('UNLINK', KEYS[2])
end
