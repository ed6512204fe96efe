"""The API key travels in the address of every call, and libraries below us log addresses."""

from __future__ import annotations

import logging
import re
from typing import Final

_KEY: Final = re.compile(r"(api_key=)[^&\s\"']+")


class _HideKeys(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(_KEY.sub(r"\1***", arg) if isinstance(arg, str) else arg for arg in record.args)
        record.msg = _KEY.sub(r"\1***", str(record.msg))
        return True


def hide_keys() -> None:
    """Keep keys out of what urllib3 tells at level DEBUG; harmless to call again."""
    for name in ("urllib3.connectionpool", "urllib3.util.retry"):
        logger = logging.getLogger(name)
        if not any(isinstance(each, _HideKeys) for each in logger.filters):
            logger.addFilter(_HideKeys())
