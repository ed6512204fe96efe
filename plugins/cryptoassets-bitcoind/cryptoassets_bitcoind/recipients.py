"""Payments as the daemon understands them, and which one of a batch it will not carry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal

from cryptoassets_bitcoind import answers
from cryptoassets_bitcoind.faults import WALLET_ERROR
from cryptoassets_bitcoind.rpc import RpcClient
from cryptoassets_core.amounts import check_amount
from cryptoassets_core.errors import BackendRejectedError, RecipientRejectedError

#: What must be paid: how often each pair of output script and amount occurs.
Payments = Counter[tuple[str, Decimal]]


def check_recipients(rpc: RpcClient, recipients: Mapping[str, Decimal], *, decimals: int) -> Payments:
    """See that the daemon can pay every address, and learn the scripts that it must pay.

    Scripts and not addresses, because one script can be written as several addresses.

    :raises RecipientRejectedError: naming the first address that it cannot pay.
    """
    validated = rpc.batch([("validateaddress", [address]) for address in recipients])
    owners: dict[str, str] = {}
    payments: Payments = Counter()
    for (address, amount), answer in zip(recipients.items(), validated, strict=True):
        if isinstance(answer, BackendRejectedError):
            raise answer
        facts = answers.mapping(answer, "validateaddress")
        if facts.get("isvalid") is not True or not facts.get("scriptPubKey"):
            raise RecipientRejectedError(f"the daemon cannot pay the address {address!r}", address=address)
        script = answers.hexadecimal(facts["scriptPubKey"], "validateaddress.scriptPubKey")
        if script in owners:
            raise RecipientRejectedError(
                f"{address!r} is another spelling of {owners[script]!r}; one transaction can pay it once",
                address=address,
            )
        owners[script] = address
        payments[script, check_amount(amount, decimals)] += 1
    return payments


def build(rpc: RpcClient, recipients: Mapping[str, Decimal]) -> str:
    """Make the unfunded transaction.

    :raises RecipientRejectedError: naming the payment that it cannot contain, such as one of more coins than exist.
    """
    try:
        return answers.hexadecimal(rpc.call("createrawtransaction", [], dict(recipients)), "createrawtransaction")
    except BackendRejectedError as error:
        alone = rpc.batch([("createrawtransaction", [[], {address: amount}]) for address, amount in recipients.items()])
        for address, answer in zip(recipients, alone, strict=True):
            if isinstance(answer, BackendRejectedError):
                raise RecipientRejectedError(str(answer), address=address, code=answer.code) from None
        raise error from None


def is_dust(error: BackendRejectedError) -> bool:
    """Tell whether funding failed because a payment is too small to be relayed."""
    return error.code == WALLET_ERROR and "transaction amount too small" in str(error).lower()


def find_dust(rpc: RpcClient, recipients: Mapping[str, Decimal]) -> RecipientRejectedError | None:
    """Find the payment that is too small: the limit depends on the kind of address, and the daemon names none.

    Smallest first; each is funded alone, without locking anything.
    """
    for address, amount in sorted(recipients.items(), key=lambda item: item[1]):
        try:
            rpc.call("fundrawtransaction", build(rpc, {address: amount}))
        except BackendRejectedError as error:
            if is_dust(error):
                return RecipientRejectedError(
                    f"the payment of {amount:f} to {address!r} is too small for the network",
                    address=address,
                    code=error.code,
                )
    return None
