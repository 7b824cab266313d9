"""The machine that builds: firmware is a program for its operating system."""
