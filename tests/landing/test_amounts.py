"""Money read as doubles is, to the last place that is kept, the money that was written."""

from decimal import Decimal

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from lah_platform.events.money import round_to_column
from lah_platform.landing.amounts import units_of, units_of_doubles

_WRITTEN = st.one_of(
    st.decimals(-300, 300, places=12).map(str),
    st.decimals(-300, 300, places=9).map(str),
    st.decimals(-1, 1, places=20).map(str),
    st.floats(allow_nan=False).map(repr),
    st.tuples(st.integers(-(10**15), 10**15), st.integers(-20, 5)).map(lambda each: f"{each[0]}e{each[1]}"),
)


@given(_WRITTEN)
@example("0.0000000000005")
@example("0.0000000000015")
@example("281.474976710655")
@example("-0.0")
def test_what_is_said_to_be_certain_is_the_written_amount_rounded_half_to_even(written: str) -> None:
    units, is_certain = units_of_doubles(np.array([float(written)]))
    if is_certain[0]:
        assert units[0] == int(round_to_column(Decimal(written)).scaleb(12))


@given(st.integers(-280 * 10**9, 280 * 10**9).map(lambda units: Decimal(units).scaleb(-9)))
def test_ordinary_amounts_are_certain(amount: Decimal) -> None:
    assert units_of_doubles(np.array([float(amount)]))[1][0]


@given(st.lists(st.one_of(st.decimals(-(10**15), 10**15, places=12), st.sampled_from([0.5, 0.25, 0.1]))))
def test_doubles_and_decimals_may_come_together(amounts: list[Decimal | float]) -> None:
    expected = [int(round_to_column(Decimal(str(amount))).scaleb(12)) for amount in amounts]
    assert [int(units) for units in units_of(amounts)] == expected
