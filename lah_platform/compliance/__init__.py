"""Compliance: what is on record for a period, in a form that an auditor can read and count again. Pure."""
