"""Single pictures as files and as pixels: photos with their depth, tags and profile, plain RGB pictures, text."""
