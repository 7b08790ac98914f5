"""``python -m hormesis`` is the command line."""

from hormesis.cli import main

main()
