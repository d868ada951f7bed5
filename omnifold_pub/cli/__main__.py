"""``python -m omnifold_pub.cli``."""

from omnifold_pub.cli import main

if __name__ == "__main__":
    main(prog_name="omnifold-pub")
