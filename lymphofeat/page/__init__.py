"""The report as a page: one self-contained HTML file, made from what the other commands have kept."""
