"""Which amounts of money fit the column `numeric(28, 12)`, and how they are rounded to it."""

import re
from decimal import ROUND_HALF_EVEN, Context, Decimal

import msgspec

from lah_platform.events import jsonb
from lah_platform.events.payloads.cost import MONEY_FIELDS, Cost
from lah_platform.events.payloads.quantities import MONEY_TEXT_PATTERN

_SCALE = Decimal("1e-12")
# From here on rounding half to even gives 10^16, one digit too many.
_OUT_OF_RANGE = Decimal("9999999999999999.9999999999995")
_SURELY_FITS = 14  # exponent of the leading digit
_CONTEXT = Context(prec=28, rounding=ROUND_HALF_EVEN)

# Decimal() also reads "1_0", " 1" and other scripts' digits, which no other reader of the payload would.
_MONEY_TEXT = re.compile(MONEY_TEXT_PATTERN.replace("$", r"\Z"))

# Reads the same fields as plain numbers: where it succeeds, no amount came as text.
_AS_NUMBERS: dict[type[Cost], msgspec.json.Decoder[msgspec.Struct]] = {
    struct: msgspec.json.Decoder(msgspec.defstruct(f"{struct.__name__}Numbers", [(f, float) for f in fields], gc=False))
    for struct, fields in MONEY_FIELDS.items()
}


def round_to_column(amount: Decimal) -> Decimal:
    """The amount with 12 decimals, half to even. The amount must have passed `money_problem`."""
    return amount.quantize(_SCALE, context=_CONTEXT)


def money_problem(payload: Cost, data: bytes) -> tuple[str, str] | None:
    """The first (field, problem) of a cost payload's amounts; `data` is the JSON it was read from."""
    fields = MONEY_FIELDS[type(payload)]
    try:
        _AS_NUMBERS[type(payload)].decode(data)
    except msgspec.ValidationError:
        tree = jsonb.parse(data.decode())
        for field in fields:
            if not isinstance(tree[field], jsonb.NumberText) and not _MONEY_TEXT.match(tree[field]):
                return field, f"{tree[field]!r} is not written like a JSON number"
    for field in fields:
        amount: Decimal = getattr(payload, field)
        # copy_abs is exact where abs() and unary minus round to the caller's decimal context
        if amount.adjusted() > _SURELY_FITS and amount.copy_abs() >= _OUT_OF_RANGE:
            return field, "is too large: money takes 16 digits before the decimal point"
    return None
