"""Personal data: which fields hold it, and what becomes of them before they reach storage."""
