"""`python -m tepones`."""

from tepones.cli import main

main()
