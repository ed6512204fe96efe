"""What is known about the daemon's calls before they are made."""

from __future__ import annotations

#: Calls that change nothing: safe to repeat, and nothing is in doubt when their answer is lost.
#: A call that is not listed is taken to change something.
READ_ONLY = frozenset(
    {
        "createrawtransaction",
        "decoderawtransaction",
        "getbalance",
        "getbalances",
        "getbestblockhash",
        "getblock",
        "getblockchaininfo",
        "getblockcount",
        "getblockhash",
        "getblockheader",
        "getmempoolentry",
        "getmempoolinfo",
        "getnetworkinfo",
        "getrawmempool",
        "gettransaction",
        "gettxout",
        "getunconfirmedbalance",
        "getwalletinfo",
        "help",
        "listlockunspent",
        "listsinceblock",
        "listunspent",
        "signrawtransaction",
        "signrawtransactionwithwallet",
        "testmempoolaccept",
        "validateaddress",
    }
)

#: Calls that take a large wallet seconds to answer, and must not be given up on lightly.
SLOW = frozenset(
    {
        "fundrawtransaction",
        "generatetoaddress",
        "listsinceblock",
        "sendmany",
        "sendrawtransaction",
        "sendtoaddress",
        "signrawtransaction",
        "signrawtransactionwithwallet",
    }
)

#: Least time limit of the slow calls: paying 100 recipients out of 5000 coins was measured at 3.6 s on an idle machine.
SLOW_SECONDS = 60.0
