"""Launcher for a checkout: `python cli.py colorize film.mp4 -o film-colour.mp4`."""

from deoldify_video.cli.app import main

if __name__ == "__main__":
    main()
