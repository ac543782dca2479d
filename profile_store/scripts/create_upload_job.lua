#!lua
-- An upload job comes into being: whole, listed and counted, or not at all.
-- KEYS  1 upload-job:<id>  2 upload-jobs  3 upload-jobs-by-status  4 domain      (all of one hash tag)
-- ARGV  1 its definition as JSON   2 when, in seconds since 1970   3 its place in the list
-- Returns {'OK'} | {'GONE'}: there is no such domain any more
if redis.call('EXISTS', KEYS[4]) == 0 then return {'GONE'} end
redis.call('HSET', KEYS[1], 'definition', ARGV[1], 'status', 'CREATED', 'created', ARGV[2])
redis.call('ZADD', KEYS[2], 0, ARGV[3])
redis.call('HINCRBY', KEYS[3], 'CREATED', 1)
return {'OK'}
