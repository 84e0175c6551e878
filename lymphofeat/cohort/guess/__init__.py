"""A first `lymphofeat.toml` for a folder that nobody has described yet: what lies there, guesses, open questions."""
