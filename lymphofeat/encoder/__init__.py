"""Pixels in, one feature vector per image out: backbones, weights, preprocessing, the frozen pass."""
