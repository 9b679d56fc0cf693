"""`python -m deoldify_video` and the console script."""

from deoldify_video.cli.app import main

if __name__ == "__main__":
    main()
