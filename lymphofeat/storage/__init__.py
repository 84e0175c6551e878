"""Bytes that survive a kill: files written whole, blocks with checksums, journals, locks, and what lies at a path."""
