"""Quality: what every stored and served table promises, and the suites that check it in SQL.

Great Expectations takes 5 seconds and 300 MB to import, so only `suites` touches it, inside functions.
"""
