"""`python -m egate_lsp` is the same command as `egate-lsp`."""

from egate_lsp.cli import main

if __name__ == "__main__":
    main()
