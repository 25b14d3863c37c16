"""`python -m ppl` is the command `ppl`."""

from ppl.tools.command_line import main

if __name__ == "__main__":
    main()
