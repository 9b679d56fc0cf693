"""Measures of colour and of how still it holds, as published."""
