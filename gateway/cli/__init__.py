"""The command line, one module per noun. Whoever may read the data folder is trusted: it works on the folder itself.

Everything is safe beside a running server, which sees changes at its next request.
"""
