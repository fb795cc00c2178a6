-- Forecasts of several origins side by side, what their backtests said, and how they came out.
-- Locks: forecasts, exclusively, while its key is built again (a second for a million rows).

alter table forecasts drop constraint forecasts_pkey;
alter table forecasts add column lower_80 double precision, add column upper_80 double precision,
    add check (lower_80 <= value and value <= upper_80),
    add primary key (series_id, metric, window_name, trained_through, method, target_start);
create index forecasts_target on forecasts (target_start, series_id);

create table forecast_models (
    tenant          text collate "C" not null,
    series_id       bigint not null,
    metric          text not null,
    window_name     text not null,
    method          text not null,
    trained_through timestamptz not null,
    horizon         integer not null check (horizon > 0),
    weights         jsonb not null,
    origins         integer not null check (origins >= 0),
    backtest_mape   double precision,
    backtest_smape  double precision,
    backtest_wape   double precision,
    backtest_mase   double precision,
    naive_wape      double precision,
    common_error    double precision not null check (common_error between 0 and 1),
    naive_step      double precision not null check (naive_step >= 0),
    forecastability double precision check (forecastability between 0 and 1),
    is_forecastable boolean,
    verdict         text not null,
    computed_at     timestamptz not null,
    judged_buckets  integer not null default 0 check (judged_buckets >= 0),
    mape            double precision,
    smape           double precision,
    wape            double precision,
    mase            double precision,
    coverage_80     double precision check (coverage_80 between 0 and 1),
    coverage_95     double precision check (coverage_95 between 0 and 1),
    judged_at       timestamptz,
    primary key (series_id, metric, window_name, trained_through, method)
);
create index forecast_models_computed on forecast_models (computed_at, tenant);

comment on column forecasts.lower_80 is 'Lower end of the range that is made to hold 80 % of values; null: none was made.';
comment on column forecasts.upper_80 is 'Upper end of the range that is made to hold 80 % of values; null: none was made.';
comment on table forecast_models is
    'What each forecast was made of, how its method did in the backtest, and how it came out.';

do $$
declare
    said record;
begin
    for said in select * from (values
            ('tenant', 'Whose.'),
            ('series_id', 'Series.'),
            ('metric', 'Metric.'),
            ('window_name', 'Window of the values.'),
            ('method', 'Which method.'),
            ('trained_through', 'The last bucket it was learnt from (UTC): the forecast''s origin.'),
            ('horizon', 'How many buckets are forecast.'),
            ('weights', 'What each member counts in the weighted median, as a share.'),
            ('origins', 'How many origins the backtest has; 0: too short a series.'),
            ('backtest_mape', 'Mean absolute percentage error in the backtest, 1 is 100 %, buckets of 0 left out; null: unknown.'),
            ('backtest_smape', 'Symmetric mean absolute percentage error in the backtest, at most 2; null: unknown.'),
            ('backtest_wape', 'Weighted absolute percentage error in the backtest, 1 is 100 %; null: unknown.'),
            ('backtest_mase', 'Mean absolute error in the backtest over the naive step; null: unknown.'),
            ('naive_wape', 'What the better seasonal naive method''s error was in the backtest; null: unknown.'),
            ('common_error', 'How much of a bucket''s error all buckets of one forecast have in common, 0 to 1.'),
            ('naive_step', 'Mean size of the step from season to season, in the metric''s unit.'),
            ('forecastability', '1 less the spectral entropy: 0 is noise, 1 one wave; null: constant or too short.'),
            ('is_forecastable', 'Whether the backtest''s MAPE is 12 % or less; null: unknown.'),
            ('verdict', 'The same in one sentence.'),
            ('computed_at', 'When it was computed (UTC).'),
            ('judged_buckets', 'How many of the forecast buckets have come about and been compared.'),
            ('mape', 'Mean absolute percentage error of what has come about, 1 is 100 %; null: nothing yet.'),
            ('smape', 'Symmetric mean absolute percentage error of what has come about, at most 2; null: nothing yet.'),
            ('wape', 'Weighted absolute percentage error of what has come about, 1 is 100 %; null: nothing yet.'),
            ('mase', 'Mean absolute error of what has come about over the naive step; null: nothing yet.'),
            ('coverage_80', 'Share of what has come about within the 80 % range; null: nothing yet.'),
            ('coverage_95', 'Share of what has come about within lower and upper; null: nothing yet.'),
            ('judged_at', 'When it was compared last (UTC); null: never.')
        ) as columns (name, text)
    loop
        execute format('comment on column forecast_models.%I is %L', said.name, said.text);
    end loop;
    if exists (select from pg_roles where rolname = 'lah_reader') then
        execute 'grant select on forecast_models to lah_reader';
    end if;
end
$$;

select lah_add_tenant_view('forecasts', 't.tenant = any ((select lah.lah_my_tenants())::text[])'),
       lah_add_tenant_view('forecast_models', 't.tenant = any ((select lah.lah_my_tenants())::text[])');
