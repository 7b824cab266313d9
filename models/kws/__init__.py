"""Keyword spotting: ten words from 1 s of sound."""
