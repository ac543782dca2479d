#!lua
-- What became of an import: the first word counts, since two runs may drive one import and only one of them can be right about its end.
-- KEYS  1 result:<import_seq>
-- ARGV  1 the result as JSON   2 its state: COMPLETE, FAILED, or FAILING, which FAILED alone may replace
-- Returns the result that is on record now.
local known = redis.call('GET', KEYS[1])
if known and not (ARGV[2] == 'FAILED' and cjson.decode(known).state == 'FAILING') then return known end
redis.call('SET', KEYS[1], ARGV[1])
return ARGV[1]
