"""An import that changes nothing: the real rules over the real store, written to a file that is thrown away (SPEC B3)."""
