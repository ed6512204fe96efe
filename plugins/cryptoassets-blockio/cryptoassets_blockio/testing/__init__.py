"""A stand-in for block.io, for tests: the documented protocol over real HTTP and a real websocket.

The official client talks to it unmodified but for its base URL. Accounts, addresses, balances, a small chain and
prepared transactions are real in themselves: every signature is verified, and transactions are complete and have the
ids that the network would give them. No coin is.

Documented by the service, or seen in its clients and in answers that people published: the envelope of answers and
failures, names and types of the fields of addresses, balances, listings and prepared transactions, key derivation and
signatures, the refusal of keys, the fields of a refusal for want of funds, the webhook's and the websocket's envelopes,
the ping on creation, the depths 0, 1 and 3 of notifications.

Assumed, and where it matters switchable in :py:class:`~cryptoassets_blockio.testing.account.Behaviour`: the number of
items of a page, HTTP statuses of failures, the answer to a payload that is submitted again, whether change shows among
what was received or sent, where change goes, how a double-spent transaction looks, names of fields of raw inputs, the
shape of the list of notifications, what a subscription is answered, fees and least amounts.
"""

from cryptoassets_blockio.testing.account import Account, Behaviour, Refusal
from cryptoassets_blockio.testing.faults import Fault
from cryptoassets_blockio.testing.standin import StandIn, fund, spend_elsewhere

__all__ = ["Account", "Behaviour", "Fault", "Refusal", "StandIn", "fund", "spend_elsewhere"]
