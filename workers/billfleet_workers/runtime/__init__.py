"""The engine: it brings each message through its life and knows no SDK and no table."""
