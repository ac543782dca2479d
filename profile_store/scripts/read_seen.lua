#!lua flags=no-writes
-- KEYS  1 meta  2 seen-profiles:<connection>:in
-- Returns {token, bits}: in one moment, since a look at each could see a write that Redis lost in between.
return {redis.call('HGET', KEYS[1], 'token') or '', redis.call('GET', KEYS[2]) or ''}
