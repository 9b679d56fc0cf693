"""Two films or photos in one picture."""
