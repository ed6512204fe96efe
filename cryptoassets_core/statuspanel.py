"""The contract of panels that plugins add to the status pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

#: What a panel may show: texts, numbers, amounts in whole coins, times with their zone, and None for "not known".
PanelValue = str | int | Decimal | datetime | None


@dataclass(frozen=True, slots=True)
class StatusPanel:
    """Some facts under a title, shown with the overview. It gives values and no HTML: nothing in it is ever markup."""

    title: str
    #: Called for each view, in a thread of the status server, with a session that cannot write. It must not ask a
    #: network, and not read a table that grows from end to end. What it raises is shown in its place.
    facts: Callable[[Session], Mapping[str, PanelValue]]
