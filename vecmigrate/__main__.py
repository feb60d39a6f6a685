"""`python -m vecmigrate` is the command `vecmigrate`."""

from vecmigrate.cli import main

if __name__ == "__main__":
    main()
