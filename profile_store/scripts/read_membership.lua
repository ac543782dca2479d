#!lua flags=no-writes
-- Who is in a segment, and the version of the partition that this is of.
-- KEYS  1 meta  2 segment-generations  3 segment-members:<id>.<generation>
-- ARGV  1 id.generation
-- Returns {token, state of the generation ('' where it is gone), bits}
return {redis.call('HGET', KEYS[1], 'token') or '', redis.call('HGET', KEYS[2], ARGV[1]) or '', redis.call('GET', KEYS[3]) or ''}
