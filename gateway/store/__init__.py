"""The catalogue and the blobs: all SQL and all files of the data folder live here."""
