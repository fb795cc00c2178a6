-- Where days of served tables wait to be judged: a table here is made anew by whoever computes it, like the one it will go
-- into, and stays until the next computation, so that rows that were refused can be looked at.
-- Locks: none; the schema is new.

create schema lah_staging;
comment on schema lah_staging is 'Rows that wait to be judged before they are served, in tables of the served ones'' names; what was refused last stays here.';
create schema marts_staging;
comment on schema marts_staging is 'The same for the marts of dbt.';
