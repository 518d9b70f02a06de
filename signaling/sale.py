"""What a session is about, as whoever opens it says: an order and a customer, by reference.

Names, identity numbers and telephone numbers have no place here; what looks like one is refused,
because references end up in indexes, addresses and logs of other systems.
"""

import re
from datetime import UTC, date, datetime
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

__all__ = ["Customer", "Day", "Order", "Reference"]

_MOST_DAYS: Final = 36_525
_ZONES: Final = 1
"""Days that places of the earth are apart."""

_IDENTITY: Final = re.compile(r"\d{17}[\dXx]")
_OLD_IDENTITY: Final = re.compile(r"[1-9]\d{5}\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}")
"""Identity numbers of 15 digits, which older documents have; order numbers may look so."""

_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS: Final = "10X98765432"
_MOBILE: Final = re.compile(r"(?:86)?1[3-9]\d{9}")


def _is_identity_number(text: str) -> bool:
    """Whether it is a resident identity number (GB 11643): a day of birth and a check digit."""
    if not _IDENTITY.fullmatch(text):
        return False
    try:
        date(int(text[6:10]), int(text[10:12]), int(text[12:14]))
    except ValueError:
        return False
    rest = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, text, strict=False)) % 11
    return _CHECKS[rest] == text[17].upper()


def _bare(text: str) -> str:
    """Without what people put between digits."""
    return re.sub("[._:-]", "", text)


def _no_identity(text: str) -> str:
    if _is_identity_number(_bare(text)):
        raise ValueError("an identity number is no reference; give a pseudonymous id")
    return text


def _no_old_identity(text: str) -> str:
    if _OLD_IDENTITY.fullmatch(_bare(text)):
        raise ValueError("an identity number is no reference; give a pseudonymous id")
    return text


def _no_telephone(text: str) -> str:
    if _MOBILE.fullmatch(_bare(text)):
        raise ValueError("a telephone number is no reference; give a pseudonymous id")
    return text


def _a_day(text: str) -> str:
    try:
        date.fromisoformat(text)
    except ValueError:
        raise ValueError("no day of the calendar; write YYYY-MM-DD") from None
    return text


def _a_contracts_end(text: str) -> str:
    """No contract that is being made has ended, or is kept for more than a lifetime."""
    today = datetime.now(UTC).date()
    days = (date.fromisoformat(text) - today).days
    if not -_ZONES <= days <= _MOST_DAYS:
        raise ValueError("a contract ends today at the earliest, and within 100 years")
    return text


Reference = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$"),
    AfterValidator(_no_identity),
    AfterValidator(_no_telephone),
]
"""Names something in the bank's own systems."""

Day = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$"), AfterValidator(_a_day)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Order(_Strict):
    """The order or contract; its class and the day its contract ends decide how long the
    recording is kept.
    """

    order_no: Reference
    product_code: Reference | None = None
    product_class: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")] | None = None
    contract_end: Annotated[Day, AfterValidator(_a_contracts_end)] | None = None


class Customer(_Strict):
    """The customer, by the pseudonymous id that the bank's CRM gave."""

    crm_customer_id: Annotated[Reference, AfterValidator(_no_old_identity)]
