-- Every object of schema lah, and every view of lah_tenant, as one line each, sorted; compared with sql/schema.snapshot.
with tables as (
    select c.oid, c.relname from pg_class c
    where c.relnamespace = 'lah'::regnamespace and c.relkind in ('r', 'p', 'v') and not c.relispartition
)
select line from (
    select format('column %s.%s %s%s%s', t.relname, a.attname, format_type(a.atttypid, a.atttypmod),
                  case when a.attnotnull then ' not null' else '' end,
                  case when a.attidentity <> '' then ' identity' when a.atthasdef then ' default ' || pg_get_expr(d.adbin, d.adrelid) else '' end) as line
    from tables t join pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
    left join pg_attrdef d on d.adrelid = t.oid and d.adnum = a.attnum
    union all
    select format('constraint %s %s', t.relname, pg_get_constraintdef(k.oid))
    from tables t join pg_constraint k on k.conrelid = t.oid where k.contype in ('p', 'u', 'c', 'f')
    union all
    select format('index %s %s', t.relname, regexp_replace(pg_get_indexdef(i.indexrelid), '^.* USING ', ''))
    from tables t join pg_index i on i.indrelid = t.oid
    union all
    select format('view %s %s', case n.nspname when 'lah' then '' else n.nspname || '.' end || c.relname,
                  md5(pg_get_viewdef(c.oid, true)))
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname in ('lah', 'lah_tenant') and c.relkind = 'v'
    union all
    select format('function %s(%s) %s', p.proname, pg_get_function_identity_arguments(p.oid), md5(p.prosrc))
    from pg_proc p where p.pronamespace = 'lah'::regnamespace
    union all
    select format('trigger %s %s', t.relname, g.tgname)
    from tables t join pg_trigger g on g.tgrelid = t.oid where not g.tgisinternal
    union all
    select format('enum %s %s', t.typname, string_agg(e.enumlabel, ' < ' order by e.enumsortorder))
    from pg_type t join pg_enum e on e.enumtypid = t.oid where t.typnamespace = 'lah'::regnamespace group by t.typname
) lines
order by line collate "C"
