"""Simulated cohorts with a known truth: cells, images, patients, features, and whole cohorts on disk."""
