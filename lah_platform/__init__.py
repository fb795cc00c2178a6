"""LLM Analytics Hub: every LLM operations event once, in your own PostgreSQL, and the tables made from it."""
