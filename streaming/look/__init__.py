"""Looking before running: what a file holds and what a goal would make of it. Nothing here changes anything (SPEC I5, I9, M8)."""
