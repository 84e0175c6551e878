"""The cell measured: nucleus and cell found without learning, and every number with a name. docs/morphology.md"""
