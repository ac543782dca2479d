"""An import, step by step, without Prefect: one verb per file. The flow and the tests call the same steps in the same order:

scan → register → await_turn → publish → await_outcomes → write_rejects → close      (`drive` is all from publish on)
"""
