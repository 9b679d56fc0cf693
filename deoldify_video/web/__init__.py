"""The page in the browser: for people who never open a terminal."""
