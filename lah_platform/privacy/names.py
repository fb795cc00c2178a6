"""Rules for what the contract does not know: unknown fields, custom payloads, OpenTelemetry attributes, tags.

Names are compared in lower case with "-" as "_". The names of OpenTelemetry's GenAI conventions, of OpenInference and
of OpenLLMetry that carry text or persons are among them.
"""

import ipaddress
import re
from collections.abc import Mapping
from functools import lru_cache

from lah_platform.privacy.fields import Sort

__all__ = ["PLAIN_TAGS", "names_a_person", "sort_of_field"]


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


PLAIN_TAGS = _names("tenant service region team provider version feature environment")
"""Tags that stay as they are whatever they hold: dimensions of series have to be readable."""

_BY_NAME: Mapping[Sort, frozenset[str]] = {
    Sort.IDENTIFIER: _names("""
        user_id userid user.id enduser.id end_user_id end_user username user_name user user.name email user_email
        user.email email_address customer_id customer subject_id data_subject data_subjects person_id patient_id
        employee_id member_id account_holder actor author langfuse.user.id
    """),
    Sort.PSEUDONYM: _names("""
        session session_id session.id langfuse.session.id conversation_id gen_ai.conversation.id thread_id device_id
        visitor_id anonymous_id
    """),
    Sort.ADDRESS: _names("""
        ip ip_address ip_addr source_ip client_ip remote_ip remote_addr client.address source.address
        network.peer.address net.peer.ip http.client_ip user_agent user_agent.original http.user_agent mac_address
        phone phone_number cookie authorization ssn passport iban
    """),
    Sort.CONTENT: _names("""
        prompt prompts completion completions messages input_messages output_messages system_prompt system_instructions
        gen_ai.prompt gen_ai.completion gen_ai.input.messages gen_ai.output.messages gen_ai.system_instructions
        llm.prompts llm.completions llm.input_messages llm.output_messages input.value output.value input output
        content text query question answer response completion_text prompt_text transcript
        gen_ai.tool.call.arguments gen_ai.tool.call.result
    """),
    Sort.TEXT: _names("""
        name first_name last_name full_name display_name address street birthday birth_date date_of_birth
        description comment comments note notes message reason explanation feedback gen_ai.evaluation.explanation
    """),
}
_SORT_OF_NAME = {name: sort for sort, names in _BY_NAME.items() for name in names}
_CONTENT_PREFIXES = (
    "gen_ai.prompt.",
    "gen_ai.completion.",
    "llm.input_messages.",
    "llm.output_messages.",
    "llm.prompts.",
    "llm.completions.",
)
# Also as the last part of a dotted name; `gen_ai.tool.name` and `llm.token_count.prompt` are none of them
_LAST_PARTS = _names("""
    user_id username user_name email ip ip_address user_agent session_id phone messages description explanation comment
    message
""")
_LONGEST_WORD = 64
_WORD = re.compile(r"[A-Za-z0-9_.:/+#=~,-]*")


@lru_cache(maxsize=4096)
def _sort_of_name(name: str) -> Sort | None:
    plain = name.lower().replace("-", "_")
    if plain.startswith(_CONTENT_PREFIXES):
        return Sort.CONTENT
    last = plain.rpartition(".")[2]
    return _SORT_OF_NAME.get(plain if last not in _LAST_PARTS else last)


def sort_of_field(name: str, text: str | None) -> Sort | None:
    """What a field that the contract does not know holds, by its name and, when it is a text, by that.

    A text under a name that says nothing is personal unless it looks like a word of a program's: at most 64 ASCII
    letters, digits and `_.:/+#=~,-`, without `@` or white space, and no IP address.
    """
    sort = _sort_of_name(name) if len(name) <= _LONGEST_WORD else None
    if sort is not None or text is None:
        return sort
    if len(text) > _LONGEST_WORD or _WORD.fullmatch(text) is None or _is_ip(text):
        return Sort.TEXT
    return None


def names_a_person(member: str) -> bool:
    """Whether a member's name itself is an e-mail or IP address, as in counts by user."""
    return "@" in member or _is_ip(member)


def _is_ip(text: str) -> bool:
    if text.count(".") != 3 and ":" not in text:
        return False
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
