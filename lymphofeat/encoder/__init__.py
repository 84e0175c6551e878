"""Encoders: pixels in, one feature vector per image out; frozen as they come, or fine-tuned by a recipe."""
