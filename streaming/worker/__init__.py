"""The merge worker: a member of the consumer group of every domain, one loop in one thread for each.

    consumer → partition (its queue) → batch (read, merge, commit) → durable offsets → consumer

`domain_worker` wires the steps; the others do one each.
"""
