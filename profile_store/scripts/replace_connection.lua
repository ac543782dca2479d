#!lua
-- A connection in place of the one that was read: an edit of something that somebody else changed meanwhile is made again.
-- KEYS  1 connections
-- ARGV  1 its name   2 the document that was read   3 the new one
-- Returns 1, or 0 where another one is there by now.
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
