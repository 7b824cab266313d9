"""The commands of `emu`, one file for each. A command reads its parameters, calls the working code, and prints.

The command line loads all commands for its help. So a module here imports little when it is loaded, and a command
imports the working code when it runs.
"""
