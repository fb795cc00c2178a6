{% test unique_combination(model, columns) %}
-- Keys that more than one row has.
select {{ columns | join(', ') }}, count(*) as rows
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}
