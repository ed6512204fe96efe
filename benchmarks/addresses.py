"""What a verdict on an address costs: random and mutated texts through the validator of each coin."""

from __future__ import annotations

import argparse
import time
from itertools import islice

from support.report import Goal, Measure, Section, add_options, show

from cryptoassets_core.coin.description import AddressRules
from cryptoassets_core.coin.validate import canonical_address, encode_base58check, encode_segwit
from cryptoassets_core.errors import BadAddress
from cryptoassets_core.plugins import Plugins
from cryptoassets_core.testing.addresses import random_texts

#: Texts for each network.
FULL, QUICK = 1_000_000, 1_000

#: So many are made beforehand at a time, so that making them is not measured.
CHUNK = 50_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    options = parser.parse_args()
    count = QUICK if options.quick else FULL
    measures = [
        measured(f"{coin.name} {network}", rules, count)
        for _, coin in Plugins().coins.all()
        for network, rules in coin.description.networks.items()
        if network == "main"
    ]
    show([Section(f"{count:,} random and mutated texts, on each main network", measures)], as_json=options.json)


def measured(name: str, rules: AddressRules, count: int) -> Measure:
    """Judge texts; anything but a verdict ends the benchmark."""
    examples = [encode_base58check(version, bytes(range(20))) for version in rules.p2pkh + rules.p2sh]
    if rules.bech32_hrp is not None:
        examples += [encode_segwit(rules.bech32_hrp, version, bytes(range(32))) for version in (0, 1)]
    texts = random_texts(examples, seed=1)
    seconds, taken, left = 0.0, 0, count
    while left > 0:
        chunk = list(islice(texts, min(CHUNK, left)))
        left -= len(chunk)
        # Of this process alone: nothing here waits, and other work on the machine is not ours.
        began = time.process_time()
        for text in chunk:
            try:
                canonical_address(text, rules)
                taken += 1
            except BadAddress:
                pass
        seconds += time.process_time() - began
    return Measure(name, {"a second": count / seconds, "taken": taken}, Goal(least=50_000))


if __name__ == "__main__":
    main()
