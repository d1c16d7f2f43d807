"""What the standalone application adds to the extension: accounts, health, its server."""
