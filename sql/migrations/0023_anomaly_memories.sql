-- What anomaly detection remembers of each series between runs, so that a run costs what its new points cost.
-- Locks: none on tables that are in use; the table is new.

create table anomaly_memories (
    window_name  text collate "C" not null,
    through      timestamptz not null,
    series_id    bigint not null,
    metric       text collate "C" not null,
    since        timestamptz not null,
    version      text not null,
    revisions    bigint not null,
    days         bigint not null,
    memory       bytea not null,
    primary key (window_name, through, series_id, metric),
    check (since < through)
);
alter table anomaly_memories alter column memory set storage external;  -- compressed already

comment on table anomaly_memories is
    'What anomaly detection remembers of a series and metric up to a midnight; made again when it is missing or stale.';
comment on column anomaly_memories.window_name is 'Window of the rollup that is judged.';
comment on column anomaly_memories.through is 'Every bucket before it was judged (UTC).';
comment on column anomaly_memories.series_id is 'Which series.';
comment on column anomaly_memories.metric is 'Which metric.';
comment on column anomaly_memories.since is 'The first bucket that was judged does not start before it (UTC).';
comment on column anomaly_memories.version is 'Tells the configuration and code that made it; another''s is not gone on with.';
comment on column anomaly_memories.revisions is
    'Sum of the revisions of its rows in rollup_1d when it was made: another sum now means that late data changed a judged day.';
comment on column anomaly_memories.days is 'How many rows of rollup_1d those were.';
comment on column anomaly_memories.memory is 'The memory, in the form of lah_platform.anomalies.memory.';
