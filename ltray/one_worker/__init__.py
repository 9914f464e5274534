"""Trains with one worker on this machine, in a separate process, without Ray.

Numbers, run folder and continuation are the same as with Ray, which must start a dozen processes.

* `child`: the worker's process.
* `parent`: starts the worker's process, receives its reports, restarts it after a crash.
* `launcher`: training and evaluation with one worker for a command.
"""
