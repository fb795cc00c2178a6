-- The archive: which files hold which days of events, verified, and what PostgreSQL still has itself.
-- Locks: none that a running system can feel; every object is new.

create table archive_files (
    day             date not null,
    number          integer not null check (number > 0),
    path            text not null unique,
    row_count       bigint not null check (row_count > 0),
    min_ts          timestamptz not null,
    max_ts          timestamptz not null,
    rows_checksum   numeric(38, 0) not null,
    file_bytes      bigint not null,
    sha256          text not null,
    columns         jsonb not null,
    schema_version  integer not null,
    created_at      timestamptz not null,
    verified_at     timestamptz not null,
    dropped_at      timestamptz,
    primary key (day, number)
);
comment on table archive_files is 'One row per Parquet file of the archive, written only after the file was read back and compared with events. A day may have several: later ones hold rows that landed late.';
comment on column archive_files.day is 'UTC day of the rows'' ts.';
comment on column archive_files.number is 'Number of the file within its day, from 1.';
comment on column archive_files.path is 'The file, relative to LAH_ARCHIVE_DIR; its manifest is beside it with the ending .json.';
comment on column archive_files.row_count is 'Rows in the file.';
comment on column archive_files.min_ts is 'Earliest ts in the file (UTC).';
comment on column archive_files.max_ts is 'Latest ts in the file (UTC).';
comment on column archive_files.rows_checksum is 'Sum over the rows of the first 60 bits of the MD5 of each row''s values; whatever their order. Checksums of files add up.';
comment on column archive_files.file_bytes is 'Size of the file in bytes.';
comment on column archive_files.sha256 is 'SHA-256 of the file, in hexadecimal.';
comment on column archive_files.columns is 'Columns of the file with their PostgreSQL types.';
comment on column archive_files.schema_version is 'Newest migration of the database that the file was written from.';
comment on column archive_files.created_at is 'When the file was written (UTC).';
comment on column archive_files.verified_at is 'When the file had been read back and found equal to events (UTC).';
comment on column archive_files.dropped_at is 'When these rows left PostgreSQL (UTC); null: events holds them still.';

create table archive_arrivals (
    day        date not null,
    number     integer not null,
    topic      text not null,
    partition  integer not null,
    minute     timestamptz not null,
    row_count  bigint not null,
    primary key (day, number, topic, partition, minute),
    foreign key (day, number) references archive_files on delete cascade
);
create index archive_arrivals_minute on archive_arrivals (minute);
comment on table archive_arrivals is 'Rows of each file of the archive by the minute in which they landed, so that the ledger can be recounted without the file. Rows that a replayed dead letter left are counted there.';
comment on column archive_arrivals.day is 'Day of the file.';
comment on column archive_arrivals.number is 'Number of the file within its day.';
comment on column archive_arrivals.topic is 'Topic that the rows came from.';
comment on column archive_arrivals.partition is 'Partition that the rows came from.';
comment on column archive_arrivals.minute is 'Minute of landing (UTC).';
comment on column archive_arrivals.row_count is 'Rows of the file that landed in this minute from this partition.';

create function event_day_table(day date) returns regclass language plpgsql stable as $$
declare
    starts constant timestamptz := day::timestamp at time zone 'UTC';
    ends constant timestamptz := (day + 1)::timestamp at time zone 'UTC';
    found regclass;
begin
    if (select relkind from pg_class where oid = 'lah.events'::regclass) <> 'p' then
        execute 'select show_chunks(''lah.events'', older_than => $1, newer_than => $2)' into found using ends, starts;
        return found;
    end if;
    return (select i.inhrelid::regclass from pg_inherits i join pg_class c on c.oid = i.inhrelid
            where i.inhparent = 'lah.events'::regclass and c.relname = 'events_' || to_char(day, 'YYYYMMDD'));
end
$$;
comment on function event_day_table(date) is 'The partition or chunk that holds a UTC day of events; null when there is none.';

create function event_table_days() returns setof date language plpgsql stable as $$
begin
    if (select relkind from pg_class where oid = 'lah.events'::regclass) <> 'p' then
        return query execute 'select (range_start at time zone ''UTC'')::date from timescaledb_information.chunks'
            ' where hypertable_schema = ''lah'' and hypertable_name = ''events''';
        return;
    end if;
    return query select to_date(right(c.relname, 8), 'YYYYMMDD') from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'lah.events'::regclass;
end
$$;
comment on function event_table_days() is 'The UTC days that have a partition or chunk of events.';

create function drop_event_day(day date) returns void language plpgsql as $$
declare
    child constant regclass := lah.event_day_table(day);
begin
    if child is null then
        return;
    end if;
    if (select relkind from pg_class where oid = 'lah.events'::regclass) <> 'p' then
        execute 'select drop_chunks(''lah.events'', older_than => $1, newer_than => $2)'
            using (day + 1)::timestamp at time zone 'UTC', day::timestamp at time zone 'UTC';
        return;
    end if;
    execute format('drop table %s', child);
end
$$;
comment on function drop_event_day(date) is 'Drops the partition or chunk of a UTC day, whatever it holds: ask the archive first.';
