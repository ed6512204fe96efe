"""block.io as a backend of cryptoassets-core, with its notifications."""
