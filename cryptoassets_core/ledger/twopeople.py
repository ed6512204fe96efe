"""What nobody does alone: who asked for it and who approved it stand in the row's label."""

from __future__ import annotations

from cryptoassets_core.errors import LedgerError
from cryptoassets_core.names import check_label, check_name


def signed_label(label: str | None, created_by: str | None, approved_by: str | None, *, what: str) -> str | None:
    """Return a label that names the two people; the label as it is if none is named.

    :param what: what they do, for the messages: "a transfer".
    :raises LedgerError: one of the two is missing, or both are one person.
    :raises InvalidNameError: a name, or the label that comes of it, cannot be stored.
    """
    if created_by is None and approved_by is None:
        return label
    if created_by is None or approved_by is None:
        raise LedgerError(f"{what} names two people or nobody; give both created_by and approved_by")
    check_label(label)
    check_name(created_by, "a creator")
    check_name(approved_by, "an approver")
    if created_by.strip().casefold() == approved_by.strip().casefold():
        raise LedgerError(f"{what} needs two people: {created_by!r} cannot approve what they created")
    people = f"by {created_by}, approved by {approved_by}"
    return check_name(people if label is None else f"{label} ({people})", "label with creator and approver")
