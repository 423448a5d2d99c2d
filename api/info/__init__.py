"""``POST /info``: every question that is answered, and who answers it.

``answering`` is the way of a question through the gateway, ``table`` says who answers which type;
the others are the answers, by what they are about.
"""

from api.info.answering import Info
from api.info.table import ANSWERS

__all__ = ["ANSWERS", "Info"]
