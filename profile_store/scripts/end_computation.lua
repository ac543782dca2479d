#!lua
-- A computation comes to its end, once: what was told of it never changes.
-- KEYS  1 computation:<id>  2 computing:<id>      (both of one hash tag)
-- ARGV  1 the document that says how it ended   2 for how many seconds it is kept   3 'dead': only where nobody computes it any more; else 'own'
-- Returns {the document that is there now, '' for none}
local there = redis.call('GET', KEYS[1])
if not there then return {''} end
if cjson.decode(there).Status ~= 'RUNNING' or (ARGV[3] == 'dead' and redis.call('EXISTS', KEYS[2]) == 1) then return {there} end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return {ARGV[1]}
