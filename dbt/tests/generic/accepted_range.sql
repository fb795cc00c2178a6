{% test accepted_range(model, column_name, minimum=none, maximum=none) %}
-- Rows whose value lies outside [minimum, maximum]; null lies nowhere and passes.
select *
from {{ model }}
where
    false
    {%- if minimum is not none %} or {{ column_name }} < {{ minimum }}{% endif %}
    {%- if maximum is not none %} or {{ column_name }} > {{ maximum }}{% endif %}
{% endtest %}
