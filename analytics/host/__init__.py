"""The host of detectors: a process beside the server, or on another machine.

It is given packets and what may be watched, decodes what detectors need, once for all of them, and
runs each detector (or a few that share a model) in a worker process of its own, so that one that
hangs, leaks or crashes takes nothing else with it. See ``docs/adr/0026``.
"""
