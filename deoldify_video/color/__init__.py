"""Colour arithmetic: Lab, YUV, upsampling, styles."""
