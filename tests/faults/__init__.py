"""Landing exactly once, proven by killing things: real producers, a real broker, a real PostgreSQL, real processes.

`python -m tests.faults --help` is the long form (`make faults`), `test_faults.py` the short one in `make test`.
"""
