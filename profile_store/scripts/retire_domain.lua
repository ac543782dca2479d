#!lua
-- A domain ends: nobody finds it any more, nothing can be registered in it, and none of its upload jobs changes. What is left of it may be dropped from here on.
-- KEYS  1 domain  2 schema  3 open  4 sequence  5 floor  6 retired  7 upload-jobs-open      (all of one hash tag)
-- ARGV  1 how many partitions it has
-- Returns 1 where it is retired now, or was before; 0 while something that was registered in it is not over, or an upload
--       job of it has to be looked after.
if redis.call('EXISTS', KEYS[1]) == 0 then return 1 end
if redis.call('HLEN', KEYS[3]) > 0 or (redis.call('GET', KEYS[4]) or '0') ~= (redis.call('GET', KEYS[5]) or '0') then return 0 end
if redis.call('SCARD', KEYS[7]) > 0 then return 0 end
redis.call('SET', KEYS[6], ARGV[1])
redis.call('DEL', KEYS[1], KEYS[2])
return 1
