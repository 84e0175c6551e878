"""Results for people: tables in the terminal, plots, the page."""
