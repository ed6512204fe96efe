"""The hosted wallet of ACME, an invented company."""
