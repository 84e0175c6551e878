"""Figures for the page and for the paper, by matplotlib: functions that take tables and return a `Drawn`."""
