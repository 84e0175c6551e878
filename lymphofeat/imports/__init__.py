"""Features of other toolkits: read from their files, given to patients, checked as a whole, kept in a cache."""
