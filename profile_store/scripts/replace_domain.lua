#!lua
-- A domain's definition in place of the one that was read: an edit of something that somebody else changed meanwhile is made again.
-- KEYS  1 domain
-- ARGV  1 the document that was read   2 the new one
-- Returns 1, or 0 where another one is there by now.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
