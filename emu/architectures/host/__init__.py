"""The build machine: firmware is a program for its operating system."""
