"""The contract: bytes to `Event` or `Rejection`, the catalog's types, the published schema.

May import msgspec and the standard library only. `decode.py` is the way in, `columns.py` the way out.
"""
