"""Notifications of the stand-in: webhooks that it posts to, and subscribers of its websocket."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Final

import requests

from cryptoassets_blockio.testing.account import Account, Refusal
from cryptoassets_blockio.testing.chain import Entry

#: Depths at which the service tells of a transaction; deeper ones it never mentions.
DEPTHS: Final = (0, 1, 3)

#: Methods of the service that are answered here.
METHODS: Final = frozenset({"create_notification", "delete_notification", "enable_notification", "list_notifications"})


@dataclass(slots=True)
class Hook:
    """A URL to which an account's notifications are posted."""

    notification_id: str
    url: str
    enabled: bool = True

    def describe(self, network: str) -> dict[str, Any]:
        """Describe it as the service lists it."""
        return {
            "notification_id": self.notification_id,
            "type": "account",
            "network": network,
            "url": self.url,
            "enabled": self.enabled,
        }


@dataclass(slots=True)
class Delivery:
    """How notifications travel; a test makes it worse.

    :ivar lose: how many of the next notifications never arrive.
    :ivar copies: how often each arrives.
    :ivar delay_seconds: how late.
    """

    lose: int = 0
    copies: int = 1
    delay_seconds: float = 0.0


Send = Callable[[dict[str, Any]], None]


@dataclass
class Hooks:
    """Who is told what; deliveries run in a thread of their own."""

    delivery: Delivery = field(default_factory=Delivery)

    def __post_init__(self) -> None:
        self._hooks: dict[str, dict[str, Hook]] = {}
        self._subscribers: dict[str, dict[object, Send]] = {}
        self._covered: dict[object, set[str]] = {}
        self._lock = threading.Lock()
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="stand-in notifications", daemon=True)
        #: Answers to deliveries: (url, HTTP status or 0).
        self.delivered: list[tuple[str, int]] = []

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def stop(self) -> None:
        """Deliver nothing any more."""
        self._queue.put(None)
        self._thread.join(10)

    # --- Methods of the service -----------------------------------------------------------------------------

    def call(self, account: Account, method: str, parameters: Mapping[str, Any]) -> object:
        """Answer one of :py:data:`METHODS`."""
        hooks = self._hooks.setdefault(account.api_key, {})
        if method == "list_notifications":
            if not hooks:
                raise Refusal(f"No valid notifications found for Network={account.name}")
            listed = [hook.describe(account.name) for hook in hooks.values()]
            if not account.behaviour.notifications_as_object:
                return listed
            return {"network": account.name, "notifications": listed, "page": 1, "has_more": False}
        if method == "create_notification":
            return self._create(account, hooks, parameters)
        hook = hooks.get(parameters.get("notification_id", ""))
        if hook is None:
            raise Refusal("No such notification.")
        if method == "delete_notification":
            del hooks[hook.notification_id]
        else:
            hook.enabled = True
        return hook.describe(account.name)

    def _create(self, account: Account, hooks: dict[str, Hook], parameters: Mapping[str, Any]) -> dict[str, Any]:
        hook = Hook(secrets.token_hex(12), str(parameters.get("url", "")))
        if self.post(hook.url, {"type": "ping"}) // 100 != 2:
            raise Refusal(f"The URL {hook.url} did not answer the ping.")
        hooks[hook.notification_id] = hook
        return hook.describe(account.name)

    def hooks(self, account: Account) -> list[Hook]:
        """Return the webhooks of an account."""
        return list(self._hooks.get(account.api_key, {}).values())

    # --- Subscribers ----------------------------------------------------------------------------------------

    def subscribe(self, account: Account, who: object, send: Send) -> None:
        """Tell a websocket of the account's addresses as they are now; later ones need another subscription."""
        with self._lock:
            self._subscribers.setdefault(account.api_key, {})[who] = send
            self._covered[who] = set(account.addresses)

    def unsubscribe(self, who: object) -> None:
        """Forget a websocket."""
        with self._lock:
            self._covered.pop(who, None)
            for senders in self._subscribers.values():
                senders.pop(who, None)

    def subscribers(self, account: Account) -> int:
        """Count the websockets of an account."""
        with self._lock:
            return len(self._subscribers.get(account.api_key, {}))

    # --- Telling --------------------------------------------------------------------------------------------

    def tell(self, account: Account, entries: Iterable[Entry]) -> None:
        """Tell of transactions at the depths that are told; the caller holds the account's lock."""
        for entry in entries:
            confirmations = account.chain.confirmations(entry)
            if confirmations not in DEPTHS:
                continue
            for address in {payee for payee in entry.payees if payee in account.addresses}:
                self.send(account, address_event(account, str(address), entry.txid, confirmations))

    def send(self, account: Account, data: dict[str, Any]) -> None:
        """Deliver one event to whoever wants it."""
        if self.delivery.lose:
            self.delivery.lose -= 1
            return
        address = data.get("address")
        with self._lock:
            senders = [
                send
                for who, send in self._subscribers.get(account.api_key, {}).items()
                if address in self._covered.get(who, ())
            ]
        urls = [hook.url for hook in self.hooks(account) if hook.enabled]
        for _ in range(self.delivery.copies):
            for send in senders:
                self._queue.put(lambda send=send: send({"type": "address", "data": data}))  # type: ignore[misc]
            for url in urls:
                envelope = {
                    "notification_id": secrets.token_hex(12),
                    "delivery_attempt": 1,
                    "type": "address",
                    "data": data,
                    "created_at": int(time.time()),
                }
                self._queue.put(lambda url=url, envelope=envelope: self._deliver(url, envelope))  # type: ignore[misc]

    def _deliver(self, url: str, envelope: dict[str, Any]) -> None:
        for _ in range(3):
            if self.post(url, envelope) // 100 == 2:
                return
            time.sleep(0.1)

    def post(self, url: str, body: dict[str, Any]) -> int:
        """Post to a webhook and return the HTTP status, 0 if nobody answered."""
        try:
            status = requests.post(url, json=body, timeout=5).status_code
        except requests.RequestException:
            status = 0
        self.delivered.append((url, status))
        return status

    def _run(self) -> None:
        while (work := self._queue.get()) is not None:
            if self.delivery.delay_seconds:
                time.sleep(self.delivery.delay_seconds)
            try:
                work()
            except OSError:
                # The websocket went away meanwhile; what it missed is lost, as with the service.
                continue


def address_event(account: Account, address: str, txid: str, confirmations: int) -> dict[str, Any]:
    """Describe what happened to an address; its amounts are nobody's business, and here always the same."""
    return {
        "network": account.name,
        "address": address,
        "balance_change": "0.00000001",
        "amount_sent": "0.00000000",
        "amount_received": "0.00000001",
        "txid": txid,
        "confirmations": confirmations,
        "is_green": False,
    }
