"""The commands of the command line, one file a noun; each registers itself with the app."""
