"""Measurements: they run the very code that serves."""

# A prompt whose continuation is long and certain: the engine benches measure the loop, not the prompt.
PREFIX = "# The numbers from 0 to 99, one a line.\nNUMBERS = [\n" + "".join(f"    {number},\n" for number in range(12))
