"""Other dialects than the topic's, turned into the one wire message. May import the events room only."""
