"""What is sold in a session, and to whom: references into the bank's own systems, no names."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

__all__ = ["REFERENCE", "Sale"]

REFERENCE: Final = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$"
"""Order numbers, product codes and pseudonymous ids of customers."""

_CLASS: Final = r"^[a-z][a-z0-9_]{0,31}$"
_DATE: Final = r"^\d{4}-\d{2}-\d{2}$"
_FORMS: Final = {
    "order_no": REFERENCE,
    "product_code": REFERENCE,
    "product_class": _CLASS,
    "contract_end": _DATE,
}


@dataclass(frozen=True, slots=True)
class Sale:
    """The order that a session is about; what is not known is ``None``.

    Attributes:
        product_class: decides how long the recording is kept.
        contract_end: day (``YYYY-MM-DD``) from which the time of keeping counts.
        customer: pseudonymous id of the customer in the bank's CRM.
    """

    order_no: str | None = None
    product_code: str | None = None
    product_class: str | None = None
    contract_end: str | None = None
    customer: str | None = None

    def to_json(self) -> dict[str, Any]:
        """``order`` and ``customer`` as ``session.json`` has them; without what is not known."""
        order = {name: value for name in _FORMS if (value := getattr(self, name)) is not None}
        told: dict[str, Any] = {"order": order} if order else {}
        if self.customer is not None:
            told["customer"] = {"crm_customer_id": self.customer}
        return told

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_json`; other keys are passed over.

        Raises:
            ValueError: a field is of another form.
        """
        order, customer = value.get("order", {}), value.get("customer", {})
        if not isinstance(order, dict) or not isinstance(customer, dict):
            raise ValueError("order and customer are objects")  # noqa: TRY004 - a file's fault
        found = {name: _field(order, name, form) for name, form in _FORMS.items()}
        return cls(**found, customer=_field(customer, "crm_customer_id", REFERENCE))


def _field(of: Mapping[str, Any], name: str, form: str) -> str | None:
    value = of.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or re.fullmatch(form[1:-1], value) is None:
        raise ValueError(f"{name} is of another form")
    return value
