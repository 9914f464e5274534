"""Trains with one worker on this machine, in one process of its own, without Ray.

The numbers, the run folder and the continuation are those of a run on Ray, which takes a dozen processes to start.

* `child`: the worker's process.
* `parent`: starts the worker's process, receives its reports, restarts it after a crash.
* `launcher`: how a command trains and evaluates with one worker.
"""
