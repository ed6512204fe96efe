"""bitcoind and the daemons derived from it as a backend of cryptoassets-core."""
