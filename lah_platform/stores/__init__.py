"""One client per outside system. Drivers are imported here and nowhere below."""
