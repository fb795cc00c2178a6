{% test expression_is_true(model, expression) %}
-- Rows for which the expression is false; an unknown one passes.
select *
from {{ model }}
where not ({{ expression }})
{% endtest %}
