"""Quix Streams, as its documentation shows it: a StreamingDataFrame of JSON messages into the PostgreSQL sink.

Runs in the peers' own environment, until it is stopped. The top-level fields become typed columns, `tags` and `payload`
become jsonb; the event's own `timestamp` is kept instead of the sink's metadata column of that name.
"""

import json
import os

from quixstreams import Application
from quixstreams.sinks.community.postgresql import PostgreSQLSink


def main() -> None:
    """Land the topic into a new table of the sink's own making."""
    told = json.loads(os.environ["PEER"])
    app = Application(
        broker_address=told["bootstrap"],
        consumer_group=told["topic"],
        auto_offset_reset="earliest",
        commit_every=told["batch_rows"],
        commit_interval=told["batch_seconds"],
        loglevel="WARNING",
    )
    events = app.dataframe(app.topic(told["topic"], value_deserializer="json", key_deserializer="str"))
    events.sink(PostgreSQLSink(**told["database"], table_name=told["table"], include_metadata=False))
    app.run()


if __name__ == "__main__":
    main()
