"""Landing: batch, decode, count. Pure over Protocols; the broker and the database are in `stores`."""
