"""The live display in a terminal."""
