"""Who is in which segment: evaluated in columns, kept by the commits, built, proven, estimated, written out (SPEC S, B7)."""
